//! Where a relay is, and the name that it must bear.

use std::net::IpAddr;

use reqwest::Url;
use sordino_protocol::Code;

use crate::error::Error;

/// The name of a relay on this machine, unless the app knows another.
const LOCAL_NAME: &str = "localhost";
const NO_SCHEME: &str = "must begin with https://, or http:// for a relay on this machine";

/// The origin of a relay, and the name that its challenges must carry.
///
/// The name is what keeps one relay from passing on another's challenge and so logging in there with the answer: it
/// comes from the app or from the address, never from the relay.
#[derive(Clone)]
pub(crate) struct RelayUrl {
    origin: Url,
    name: String,
}

impl RelayUrl {
    /// Reads `url`: `https`, or `http` on this machine, an origin without path, query or user.
    pub(crate) fn parse(url: &str, name: Option<&str>) -> Result<Self, Error> {
        let bad = |why: &str| Error::new(Code::BadRequest, format!("the relay's address {why}"));
        // "localhost:7373" would be read as an address of the scheme "localhost".
        let (scheme, _) = url.split_once("://").ok_or_else(|| bad(NO_SCHEME))?;
        if !matches!(scheme, "https" | "http") {
            return Err(bad(NO_SCHEME));
        }
        let origin = Url::parse(url).map_err(|error| bad(&format!("cannot be read: {error}")))?;
        let host = origin.host_str().ok_or_else(|| bad("has no host"))?;
        let local = is_local(host);
        if origin.scheme() != "https" && !local {
            return Err(bad(
                "must begin with https://: http is only for a relay on this machine",
            ));
        }
        let bare = matches!(origin.path(), "" | "/")
            && origin.query().is_none()
            && origin.fragment().is_none()
            && origin.username().is_empty()
            && origin.password().is_none();
        if !bare {
            return Err(bad(
                "must be scheme, host and port alone, such as https://chat.example",
            ));
        }
        let name = match name {
            Some(name) => name.to_owned(),
            None if local => LOCAL_NAME.to_owned(),
            None => host.to_owned(),
        };
        Ok(Self { origin, name })
    }

    /// The name that its challenges must carry.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The address of a resource. `path` begins with a slash and needs no escape.
    pub(crate) fn at(&self, path: &str) -> Url {
        let mut url = self.origin.clone();
        url.set_path(path);
        url
    }

    /// The address of the socket.
    pub(crate) fn socket(&self) -> String {
        let url = self.at("/v1/socket").to_string();
        // "http" → "ws", "https" → "wss".
        url.replacen("http", "ws", 1)
    }
}

fn is_local(host: &str) -> bool {
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_on_this_machine() {
        for good in [
            "http://127.0.0.1:7373",
            "http://[::1]:1/",
            "http://localhost",
            "https://chat.example",
        ] {
            assert!(RelayUrl::parse(good, None).is_ok(), "{good}");
        }
        for bad in [
            "http://chat.example",
            "http://127.0.0.1.chat.example",
            "https://chat.example/path",
            "https://user@chat.example",
            "https://chat.example?q",
            "https://",
        ] {
            let error = RelayUrl::parse(bad, None).err().map(|error| error.code());
            assert_eq!(error, Some(Code::BadRequest), "{bad}");
        }
        for bad in [
            "chat.example",
            "localhost:7373",
            "/relay",
            "ftp://127.0.0.1",
            "",
        ] {
            let error = RelayUrl::parse(bad, None).err().expect("refused");
            assert!(error.detail().contains("must begin with https://"), "{bad}");
        }
    }

    #[test]
    fn the_name_comes_from_the_app_or_the_address() {
        let name = |url, name| RelayUrl::parse(url, name).expect("good").name().to_owned();
        assert_eq!(name("https://chat.example", None), "chat.example");
        assert_eq!(name("http://127.0.0.1:7373", None), "localhost");
        assert_eq!(
            name("https://eu.chat.example", Some("chat.example")),
            "chat.example"
        );
    }

    #[test]
    fn the_socket_is_as_safe_as_the_rest() {
        let socket = |url| RelayUrl::parse(url, None).expect("good").socket();
        assert_eq!(socket("http://127.0.0.1:1"), "ws://127.0.0.1:1/v1/socket");
        assert_eq!(
            socket("https://chat.example"),
            "wss://chat.example/v1/socket"
        );
    }
}
