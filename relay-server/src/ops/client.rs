//! Who is at the other end: the peer, or whoever a trusted proxy names.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Where a request came from, for limits. The accept loop puts it among a request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddr(pub IpAddr);

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The networks of the proxies that end TLS.
#[derive(Debug, Default)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Of these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Admits every peer, for a listener that the operator keeps to themselves. None of them is a proxy to believe any
    /// more than another.
    pub fn everyone() -> Self {
        Self(vec![
            IpNet::V4(Ipv4Net::default()),
            IpNet::V6(Ipv6Net::default()),
        ])
    }

    /// Whether a peer may speak to the relay in plain text.
    pub fn admit(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        peer.is_loopback() || self.trust(peer)
    }

    /// For whom the peer speaks. Only a trusted proxy is believed, and of the list only what trusted proxies wrote: every
    /// hop appends at the right, so the first address from there that is not a proxy is the client. What stands left of
    /// it the client may have made up.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddr {
        let mut client = peer.to_canonical();
        let hops = headers
            .get_all(FORWARDED_FOR)
            .iter()
            .rev()
            .flat_map(|value| value.to_str().unwrap_or("?").rsplit(','));
        for hop in hops {
            if !self.trust(client) {
                break;
            }
            match parse(hop.trim()) {
                Some(address) => client = address,
                None => break,
            }
        }
        ClientAddr(client)
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// An address, with or without a port.
fn parse(hop: &str) -> Option<IpAddr> {
    let address = hop.parse().ok();
    let address = address.or_else(|| Some(hop.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn proxies() -> Proxies {
        let network = |text: &str| text.parse().expect("a network");
        Proxies::new(vec![network("10.0.0.0/8"), network("fd00::/8")])
    }

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(value).expect("text"));
        }
        let peer = peer.parse().expect("an address");
        proxies().client(peer, &headers).0.to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client("127.0.0.1", &["198.51.100.1"]), "127.0.0.1");
    }

    #[test]
    fn a_proxy_is_believed_about_its_own_client_only() {
        assert_eq!(client("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            client("10.0.0.1", &["1.1.1.1, 198.51.100.1"]),
            "198.51.100.1"
        );
        // Through two proxies, in one header or two.
        for chain in [
            &["1.1.1.1, 198.51.100.1, 10.9.9.9"][..],
            &["1.1.1.1,198.51.100.1", "10.9.9.9"],
        ] {
            assert_eq!(client("10.0.0.1", chain), "198.51.100.1");
        }
    }

    #[test]
    fn rubbish_hides_nobody_behind_another() {
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1, unknown"]), "10.0.0.1");
        assert_eq!(
            client("10.0.0.1", &["198.51.100.1, , 10.2.2.2"]),
            "10.2.2.2"
        );
    }

    #[test]
    fn all_forms_of_an_address_are_one() {
        assert_eq!(
            client("::ffff:10.0.0.1", &["198.51.100.1:4711"]),
            "198.51.100.1"
        );
        assert_eq!(client("fd00::1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(client("fd00::1", &["::ffff:198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn plain_text_is_for_this_machine_and_proxies() {
        for (peer, admitted) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("192.168.0.1", false),
            ("2001:db8::1", false),
        ] {
            let address = peer.parse().expect("an address");
            assert_eq!(proxies().admit(address), admitted, "{peer}");
        }
    }
}
