//! Whether the relay nodes know clients by their own addresses, though all come through HAProxy and may write what they like.

use std::{net::SocketAddr, path::Path};

use futures_util::{StreamExt, stream};
use reqwest::{Client, StatusCode};

use super::Failure;
use crate::load::target::Target;

/// More requests than one address may make at once, and as many as are under way together.
const MANY: usize = 5_000;
const TOGETHER: usize = 64;
/// Each node is asked, and faster than what one address may ask again comes back (20 a second).
const AGAIN: usize = 64;

/// Makes requests from one address of this machine until they are too many, each as if for another address; then another
/// address has to be served.
///
/// # Errors
/// The first may do what it likes, or the other pays for it.
pub async fn look(front: SocketAddr, authority: &Path) -> Result<(), Failure> {
    let front = Target::tls(front, authority)?;
    let url = format!("{}/v1/auth/challenge", front.base);
    let (one, other) = (client(9, &front)?, client(8, &front)?);
    let mut asked = stream::iter(0..MANY)
        .map(|n| ask(&one, &url, format!("198.51.100.{}", n % 250)))
        .buffer_unordered(TOGETHER);
    loop {
        match asked.next().await.transpose()? {
            Some(StatusCode::TOO_MANY_REQUESTS) => break,
            Some(_) => {}
            None => {
                let believed = "it is believed whatever it claims";
                return Err(format!("one address may make {MANY} requests: {believed}").into());
            }
        }
    }
    // The first goes on, so that it stays refused.
    let refused = asked.for_each(|_| std::future::ready(()));
    let served = async {
        let mut served = stream::iter(0..AGAIN)
            .map(|_| ask(&other, &url, "127.0.0.9".to_owned()))
            .buffer_unordered(AGAIN);
        while let Some(status) = served.next().await.transpose()? {
            if status == StatusCode::TOO_MANY_REQUESTS {
                return Err(Failure::from(
                    "a client is refused for what another address did",
                ));
            }
        }
        Ok(())
    };
    let (_, served) = tokio::join!(refused, served);
    served?;
    Ok(())
}

fn client(last: u8, front: &Target) -> Result<Client, Failure> {
    let own = [127, 0, 0, last].into();
    Ok(front.builder().local_address(Some(own)).build()?)
}

async fn ask(client: &Client, url: &str, claimed: String) -> Result<StatusCode, Failure> {
    let asked = client.post(url).header("x-forwarded-for", claimed);
    Ok(asked.send().await?.status())
}
