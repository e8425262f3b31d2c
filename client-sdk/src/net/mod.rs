//! The relay as the client sees it over the network: HTTP for what is asked once, one WebSocket for what flows.

pub(crate) mod auth;
pub(crate) mod calls;
pub(crate) mod http;
pub(crate) mod socket;
#[cfg(test)]
mod tests;
mod url;

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use sordino_protocol::{Code, DeviceId, UserId};

use crate::error::Error;
pub(crate) use http::{Http, LONGEST_WAIT};
pub(crate) use url::RelayUrl;

/// The device's signing key, as far as the network needs it. Called on threads that may block.
pub(crate) trait Signer: Send + Sync + 'static {
    /// Who signs.
    fn device(&self) -> Result<(UserId, DeviceId), Error>;
    /// Answers a login challenge of the relay with this name.
    fn sign_auth(&self, relay: &str, nonce: &[u8; 32]) -> Result<[u8; 64], Error>;
    /// Proves a write.
    fn sign_request(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        nonce: &[u8; 32],
    ) -> Result<[u8; 64], Error>;
}

/// TLS as both kinds of connection use it: the web's roots, or the authorities of this PEM text in their place. Never what
/// the machine was told to trust besides.
pub(crate) fn tls(authorities: Option<&[u8]>) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore::empty();
    match authorities {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(pem) => {
            let refused = || Error::new(Code::BadRequest, "authorities: no certificates in PEM");
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|_| refused())?;
                roots.add(certificate).map_err(|_| refused())?;
            }
            if roots.is_empty() {
                return Err(refused());
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Code::Internal, format!("TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Runs what may block (the store, a signature behind its lock) away from the threads that drive the network.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Error::new(Code::Stopped, "the runtime shuts down")),
    }
}
