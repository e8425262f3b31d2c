//! Two nodes that all tests of a program share, and a way to a node on which a device's token is seen.

use std::{
    net::SocketAddr,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use sordino_relay::relay::Relay;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    sync::OnceCell,
    task::spawn_blocking,
};

use super::{any, cluster, node, url};

/// All tests come from one address, and Redis counts for all nodes: what they use up must not be what others may have, nor the
/// other way round. What is counted by name stays as it is.
const RATES: &str = "rates.address_sign_ups_per_hour = 1000000\nrates.address_sign_ups_burst = 1000000\n\
                     rates.address_passwords_per_hour = 1000000\nrates.address_passwords_burst = 1000000\n";

/// Not that of a test, with which it would end.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().enable_all().build().unwrap());
static PAIR: OnceCell<Option<Pair>> = OnceCell::const_new();

/// Two nodes that run as long as the program.
pub struct Pair {
    /// What they share.
    pub shared: String,
    one: Relay,
    two: Relay,
}

/// The same for every test. `None` without servers.
pub async fn pair() -> Option<&'static Pair> {
    let started = || spawn_blocking(|| RUNTIME.block_on(start()));
    let pair = PAIR.get_or_init(async || started().await.unwrap());
    pair.await.as_ref()
}

async fn start() -> Option<Pair> {
    let shared = format!("{RATES}{}", cluster().await?);
    let (one, two) = tokio::join!(node(&shared, "one", any()), node(&shared, "two", any()));
    Some(Pair { shared, one, two })
}

impl Pair {
    pub fn one(&self) -> String {
        url(&self.one)
    }

    pub fn two(&self) -> String {
        url(&self.two)
    }
}

/// A way to a node, in plain text.
pub struct Tap {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    token: Mutex<String>,
    only_sockets: AtomicBool,
}

impl Tap {
    pub async fn open(url: &str) -> Self {
        let node: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind(any()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Seen>::default();
        let all = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, node, Arc::clone(&all)));
            }
        });
        Self { address, seen }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The newest token that was seen.
    pub fn token(&self) -> String {
        self.seen.token.lock().unwrap().clone()
    }

    /// From now on only WebSockets that are open pass: what the client learns it is told by the node.
    pub fn only_sockets(&self) {
        self.seen.only_sockets.store(true, Ordering::SeqCst);
    }
}

async fn pass(client: TcpStream, node: SocketAddr, seen: Arc<Seen>) {
    const TOKEN: &str = "authorization: Bearer ";
    let Ok(node) = TcpStream::connect(node).await else {
        return;
    };
    let ((mut from_client, mut to_client), (mut from_node, mut to_node)) =
        (client.into_split(), node.into_split());
    let up = async {
        let mut buffer = vec![0; 64 * 1024];
        let mut is_socket = false;
        loop {
            let length = from_client.read(&mut buffer).await?;
            let data = match buffer.get(..length) {
                Some([]) | None => return to_node.shutdown().await,
                Some(data) => data,
            };
            if !is_socket && seen.only_sockets.load(Ordering::SeqCst) {
                return Ok(());
            }
            // Clients write the head of a request at once.
            let text = String::from_utf8_lossy(data);
            if let Some((_, rest)) = text.split_once(TOKEN) {
                let token = rest.lines().next().unwrap_or_default();
                token.clone_into(&mut seen.token.lock().unwrap());
            }
            is_socket |= text.to_ascii_lowercase().contains("upgrade: websocket");
            to_node.write_all(data).await?;
        }
    };
    let down = tokio::io::copy(&mut from_node, &mut to_client);
    tokio::select! {
        _ = up => {}
        _ = down => {}
    }
}
