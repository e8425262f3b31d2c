//! Where clients go, and how: in plain text to a server of this machine, or as people do, by TLS and a name.

use std::{net::SocketAddr, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_tungstenite::Connector;

use super::{Error, Result};

/// A server to connect to.
#[derive(Clone)]
pub struct Target {
    /// Its address.
    pub addr: SocketAddr,
    /// `http://…`, for requests.
    pub(crate) base: String,
    /// `ws://…`
    pub(super) socket: String,
    tls: Option<Tls>,
}

#[derive(Clone)]
struct Tls {
    sockets: Arc<ClientConfig>,
    authority: reqwest::Certificate,
}

impl Target {
    /// In plain text.
    pub fn plain(addr: SocketAddr) -> Self {
        Self {
            addr,
            base: format!("http://{addr}"),
            socket: format!("ws://{addr}"),
            tls: None,
        }
    }

    /// By TLS as `localhost`; `authority` is the PEM file of who vouches for it.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub fn tls(addr: SocketAddr, authority: &Path) -> Result<Self> {
        let broken = |what: &dyn std::fmt::Display| {
            Error::Broken(format!("{}: {what}", authority.display()))
        };
        let mut roots = RootCertStore::empty();
        let certificate =
            CertificateDer::from_pem_file(authority).map_err(|error| broken(&error))?;
        roots.add(certificate).map_err(|error| broken(&error))?;
        let sockets = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let pem = std::fs::read(authority).map_err(|error| broken(&error))?;
        let name = format!("localhost:{}", addr.port());
        Ok(Self {
            addr,
            base: format!("https://{name}"),
            socket: format!("wss://{name}"),
            tls: Some(Tls {
                sockets: Arc::new(sockets),
                authority: reqwest::Certificate::from_pem(&pem)?,
            }),
        })
    }

    pub(super) fn connector(&self) -> Connector {
        match &self.tls {
            None => Connector::Plain,
            Some(tls) => Connector::Rustls(Arc::clone(&tls.sockets)),
        }
    }

    pub(super) fn http(&self) -> Result<reqwest::Client> {
        Ok(self.builder().build()?)
    }

    /// A client of it, yet to be built.
    pub(crate) fn builder(&self) -> reqwest::ClientBuilder {
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .resolve("localhost", self.addr);
        if let Some(tls) = &self.tls {
            builder = builder.tls_certs_merge([tls.authority.clone()]);
        }
        builder
    }
}
