//! Health checks: the first exchange of each protocol, for an open port alone does not say that anybody is at home.
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How a server is asked.
#[derive(Debug, Clone)]
pub(crate) enum Probe {
    /// A startup packet; while it recovers the answer is an error.
    Postgres,
    /// `PING`; while it loads the answer is an error.
    Redis,
    /// A request for metadata; a broker that is not yet part of the cluster does not name itself.
    Kafka {
        /// `node.id`.
        broker: u16,
    },
    /// `STARTUP` and a query.
    Cassandra,
    /// `GET`, answered with success.
    Http {
        /// The path.
        path: &'static str,
    },
}

const PATIENCE: Duration = Duration::from_secs(2);
/// No answer to a probe is near this.
const MOST: usize = 64 * 1024;

impl Probe {
    pub(crate) fn answers(&self, address: SocketAddr) -> bool {
        self.ask(address).unwrap_or(false)
    }

    /// Whether the answer is that it serves; an error: there is no answer.
    pub(crate) fn ask(&self, address: SocketAddr) -> io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        match self {
            Self::Postgres => postgres(&mut stream),
            Self::Redis => redis(&mut stream),
            Self::Kafka { broker } => kafka(&mut stream, *broker),
            Self::Cassandra => cassandra(&mut stream),
            Self::Http { path } => http(&mut stream, path),
        }
    }
}

fn postgres(stream: &mut TcpStream) -> io::Result<bool> {
    let parameters = b"user\0sordino\0database\0postgres\0\0";
    let mut packet = Vec::new();
    packet.extend(length(parameters.len() + 8));
    packet.extend(196_608_u32.to_be_bytes()); // protocol 3.0
    packet.extend(parameters);
    stream.write_all(&packet)?;
    let [kind, size @ ..] = exactly::<5>(stream)?;
    // To the end: what is left unread makes it complain of a reset in its log.
    at_most(stream, u32::from_be_bytes(size).saturating_sub(4))?;
    // It asks for the password.
    Ok(kind == b'R')
}

fn redis(stream: &mut TcpStream) -> io::Result<bool> {
    stream.write_all(b"PING\r\n")?;
    Ok(exactly::<7>(stream)? == *b"+PONG\r\n")
}

fn kafka(stream: &mut TcpStream, broker: u16) -> io::Result<bool> {
    let mut request = Vec::new();
    request.extend([0, 3, 0, 1]); // Metadata, version 1
    request.extend([0, 0, 0, 1, 0xff, 0xff]); // correlation; no client id
    request.extend([0, 0, 0, 0]); // of no topic
    stream.write_all(&[&length(request.len())[..], &request].concat())?;
    let size = u32::from_be_bytes(exactly(stream)?);
    let answer = at_most(stream, size)?;
    Ok(brokers(&answer).is_some_and(|known| known.contains(&i32::from(broker))))
}

/// The brokers' ids in an answer to a metadata request of version 1.
fn brokers(answer: &[u8]) -> Option<Vec<i32>> {
    let mut rest = answer.get(4..)?;
    let mut ids = Vec::new();
    for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
        ids.push(i32::from_be_bytes(take(&mut rest)?));
        skip_text(&mut rest)?; // host
        take::<4>(&mut rest)?; // port
        skip_text(&mut rest)?; // rack
    }
    Some(ids)
}

fn skip_text(rest: &mut &[u8]) -> Option<()> {
    let length = i16::from_be_bytes(take(rest)?);
    // −1 stands for none.
    *rest = rest.get(usize::try_from(length.max(0)).ok()?..)?;
    Some(())
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}

fn cassandra(stream: &mut TcpStream) -> io::Result<bool> {
    const STARTUP: u8 = 0x01;
    const READY: u8 = 0x02;
    const AUTHENTICATE: u8 = 0x03;
    const QUERY: u8 = 0x07;
    const AUTH_RESPONSE: u8 = 0x0f;
    const AUTH_SUCCESS: u8 = 0x10;
    const RESULT: u8 = 0x08;
    let options = b"\x00\x01\x00\x0bCQL_VERSION\x00\x053.0.0";
    match cql(stream, STARTUP, options)? {
        READY => {}
        // As whom it makes by itself: that user is there only after a while.
        AUTHENTICATE => {
            let token = b"\0cassandra\0cassandra";
            let token = [&length(token.len())[..], token].concat();
            if cql(stream, AUTH_RESPONSE, &token)? != AUTH_SUCCESS {
                return Ok(false);
            }
        }
        _ => return Ok(false),
    }
    let text = b"SELECT release_version FROM system.local";
    let mut query = Vec::from(length(text.len()));
    query.extend(text);
    query.extend([0, 1, 0]); // consistency ONE, no flags
    Ok(cql(stream, QUERY, &query)? == RESULT)
}

/// Sends a frame of the native protocol, version 4, and reads the answer's opcode.
fn cql(stream: &mut TcpStream, opcode: u8, body: &[u8]) -> io::Result<u8> {
    let frame = [&[4, 0, 0, 0, opcode], &length(body.len())[..], body].concat();
    stream.write_all(&frame)?;
    let [_, _, _, _, answer, size @ ..] = exactly::<9>(stream)?;
    at_most(stream, u32::from_be_bytes(size))?;
    Ok(answer)
}

fn http(stream: &mut TcpStream, path: &str) -> io::Result<bool> {
    // In one piece: who answers and closes after the first part of it resets the connection, and the answer is lost.
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let status = exactly::<12>(stream)?;
    Ok(status.starts_with(b"HTTP/1.") && status.get(8..10) == Some(b" 2"))
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes()
}

fn exactly<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn at_most(stream: &mut TcpStream, size: u32) -> io::Result<Vec<u8>> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > MOST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; size];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, thread};

    /// Asks a server that answers each read with the next of `answers`.
    fn asked(probe: &Probe, answers: &'static [&'static [u8]]) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for answer in answers {
                let mut request = [0; 1024];
                if stream.read(&mut request).unwrap() == 0 || stream.write_all(answer).is_err() {
                    break;
                }
            }
        });
        let answer = probe.answers(address);
        server.join().unwrap();
        answer
    }

    #[test]
    fn an_open_port_is_not_enough() {
        assert!(asked(&Probe::Redis, &[b"+PONG\r\n"]));
        assert!(!asked(&Probe::Redis, &[b"-LOADING Redis is loading\r\n"]));
        assert!(!asked(&Probe::Redis, &[]));
        assert!(asked(&Probe::Postgres, &[b"R\0\0\0\x08\0\0\0\x0a"]));
        assert!(!asked(&Probe::Postgres, &[b"E\0\0\0\x05\0"]));
        let http = Probe::Http { path: "/readyz" };
        assert!(asked(&http, &[b"HTTP/1.1 200 OK\r\n\r\n"]));
        assert!(asked(&http, &[b"HTTP/1.1 204 No Content\r\n\r\n"]));
        assert!(!asked(
            &http,
            &[b"HTTP/1.1 503 Service Unavailable\r\n\r\n"]
        ));
    }

    #[test]
    fn a_broker_has_to_name_itself() {
        const ALONE: &[u8] =
            b"\0\0\0\x19\0\0\0\x01\0\0\0\x01\0\0\0\x02\0\x01h\0\0\x23\x84\xff\xff\0\0\0\x02";
        assert!(asked(&Probe::Kafka { broker: 2 }, &[ALONE]));
        assert!(!asked(&Probe::Kafka { broker: 1 }, &[ALONE]));
        let endless: &[&[u8]] = &[b"\xff\xff\xff\xff"];
        assert!(!asked(&Probe::Kafka { broker: 1 }, endless));
        assert_eq!(brokers(b"\0\0\0\x01\0\0\0\x01\0\0"), None);
    }

    #[test]
    fn cassandra_has_to_answer_a_query() {
        const READY: &[u8] = b"\x84\0\0\0\x02\0\0\0\0";
        const RESULT: &[u8] = b"\x84\0\0\0\x08\0\0\0\x04\0\0\0\x01";
        const ERROR: &[u8] = b"\x84\0\0\0\0\0\0\0\x04\0\0\x10\x01";
        assert!(asked(&Probe::Cassandra, &[READY, RESULT]));
        assert!(!asked(&Probe::Cassandra, &[READY, ERROR]));
        assert!(!asked(&Probe::Cassandra, &[ERROR]));
    }
}
