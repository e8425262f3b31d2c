//! Whether the relay nodes know clients by their own addresses, though all come through HAProxy and may write what they like.

use std::{fs, net::SocketAddr, path::Path};

use reqwest::{Certificate, Client, StatusCode};

use super::Failure;

/// More requests at once than one address may make.
const MANY: usize = 5_000;

/// Makes requests from one address of this machine until they are too many, each as if for another address; then another
/// address has to be served.
///
/// # Errors
/// The first may do what it likes, or the other pays for it.
pub async fn look(front: SocketAddr, authority: &Path) -> Result<(), Failure> {
    let (one, other) = (client(9, front, authority)?, client(8, front, authority)?);
    for n in 0..MANY {
        let claimed = format!("198.51.100.{}", n % 250);
        if ask(&one, front, &claimed).await? == StatusCode::TOO_MANY_REQUESTS {
            return match ask(&other, front, "127.0.0.9").await? {
                StatusCode::TOO_MANY_REQUESTS => {
                    Err("a client is refused for what another address did".into())
                }
                _ => Ok(()),
            };
        }
    }
    Err(format!("one address may make {MANY} requests: it is believed whatever it claims").into())
}

fn client(last: u8, front: SocketAddr, authority: &Path) -> Result<Client, Failure> {
    let client = Client::builder()
        .no_proxy()
        .local_address(Some([127, 0, 0, last].into()))
        .resolve("localhost", front)
        .tls_certs_only([Certificate::from_pem(&fs::read(authority)?)?]);
    Ok(client.build()?)
}

async fn ask(client: &Client, front: SocketAddr, claimed: &str) -> Result<StatusCode, Failure> {
    let url = format!("https://localhost:{}/v1/auth/challenge", front.port());
    let asked = client.post(url).header("x-forwarded-for", claimed);
    Ok(asked.send().await?.status())
}
