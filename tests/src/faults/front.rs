//! What stands between two sides: between people and HAProxy, between relay nodes and a server. It listens, goes to a server
//! that takes the connection, and spoils what passes when told to.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::sleep,
};

/// How connections fare, all of them.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    /// Connections stay open and nothing passes.
    stalled: bool,
    /// Every piece of data waits so long, in each direction.
    delay: Duration,
    /// How often everything was cut.
    cuts: u64,
}

/// The way to the servers, which may be spoilt.
#[derive(Debug, Clone)]
pub struct Front {
    nodes: Arc<[SocketAddr]>,
    weather: watch::Sender<Weather>,
}

impl Front {
    /// To these servers.
    #[must_use]
    pub fn new(nodes: Vec<SocketAddr>) -> Self {
        Self {
            nodes: nodes.into(),
            weather: watch::Sender::default(),
        }
    }

    /// Ends every connection; new ones are let through.
    pub fn cut(&self) {
        self.weather.send_modify(|weather| weather.cuts += 1);
    }

    /// Keeps back what comes, or lets it go on.
    pub fn stall(&self, stalled: bool) {
        self.weather
            .send_modify(|weather| weather.stalled = stalled);
    }

    /// Makes everything wait.
    pub fn delay(&self, delay: Duration) {
        self.weather.send_modify(|weather| weather.delay = delay);
    }

    /// Listens for one client and returns where. It is led to node `first`, or to the next that takes the connection.
    ///
    /// # Errors
    /// No port is free.
    pub async fn open(&self, first: usize) -> io::Result<SocketAddr> {
        self.listen((std::net::Ipv4Addr::LOCALHOST, 0).into(), first)
            .await
    }

    /// The same at this address.
    ///
    /// # Errors
    /// It is in use.
    pub async fn listen(&self, address: SocketAddr, first: usize) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        tokio::spawn(self.clone().serve(listener, first));
        Ok(address)
    }

    async fn serve(self, listener: TcpListener, first: usize) {
        loop {
            match listener.accept().await {
                Ok((client, _)) => drop(tokio::spawn(self.clone().connection(client, first))),
                // Out of files, or the client has gone again.
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    }

    async fn connection(self, client: TcpStream, first: usize) {
        let mut weather = self.weather.subscribe();
        let cuts = weather.borrow().cuts;
        let Some(node) = self.node(first).await else {
            return;
        };
        let _ = (client.set_nodelay(true), node.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_node, to_node) = node.into_split();
        let passing = async {
            tokio::try_join!(
                pass(from_client, to_node, self.weather.subscribe()),
                pass(from_node, to_client, self.weather.subscribe())
            )
        };
        // Whichever way it ends, both sides see the end of the connection.
        tokio::select! {
            _ = passing => {}
            _ = weather.wait_for(|weather| weather.cuts != cuts) => {}
        }
    }

    async fn node(&self, first: usize) -> Option<TcpStream> {
        let nodes = self.nodes.iter().cycle().skip(first);
        for node in nodes.take(self.nodes.len()) {
            if let Ok(stream) = TcpStream::connect(node).await {
                return Some(stream);
            }
        }
        None
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        let delay = match weather.wait_for(|weather| !weather.stalled).await {
            Ok(weather) => weather.delay,
            Err(_) => return Ok(()),
        };
        sleep(delay).await;
        match buffer.get(..length) {
            Some([]) | None => return to.shutdown().await,
            Some(data) => to.write_all(data).await?,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use tokio::time::timeout;

    /// A server that sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut from, mut to) = stream.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from, &mut to).await });
            }
        });
        address
    }

    async fn answers(stream: &mut TcpStream) -> bool {
        stream.write_all(b"a").await.unwrap();
        stream.read(&mut [0; 8]).await.unwrap_or(0) == 1
    }

    #[tokio::test]
    async fn a_dead_node_is_passed_over_and_connections_can_be_stalled_and_cut() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dead = closed.local_addr().unwrap();
        drop(closed);
        let front = Front::new(vec![dead, echo().await]);
        let address = front.open(0).await.unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert!(answers(&mut stream).await);
        front.stall(true);
        let short = Duration::from_millis(100);
        assert!(timeout(short, answers(&mut stream)).await.is_err());
        front.stall(false);
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 1);
        front.cut();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0);
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert!(answers(&mut stream).await);
        let address = Front::new(vec![dead]).open(0).await.unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0);
    }
}
