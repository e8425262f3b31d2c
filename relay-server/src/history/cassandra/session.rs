//! The connection to the cluster.

use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock, Weak},
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use rustls_platform_verifier::ConfigVerifierExt;
use scylla::{
    client::{
        execution_profile::ExecutionProfile, session::Session, session_builder::SessionBuilder,
    },
    errors::{NewSessionError, PrepareError},
    statement::Consistency,
};

use tokio::time::sleep;

use super::statements::Statements;
use crate::{
    config::{Login, ServerTls},
    history::HistoryError,
};

/// How history is reached.
#[derive(Debug, Clone)]
pub struct Options {
    /// Nodes to begin with; the others are found.
    pub nodes: Vec<SocketAddr>,
    /// The keyspace.
    pub keyspace: String,
    /// How long one request may take.
    pub timeout: Duration,
    /// The nodes speak TLS.
    pub tls: Option<ServerTls>,
    /// Who the relay is to them.
    pub login: Option<Arc<Login>>,
    /// A keyspace with fewer replicas is refused. 3 in production: what a quorum of two has then survives the loss of a disk.
    pub least_replicas: u16,
}

impl Options {
    /// The defaults, for which one replica is enough.
    pub fn new(nodes: Vec<SocketAddr>, keyspace: impl Into<String>) -> Self {
        Self {
            nodes,
            keyspace: keyspace.into(),
            timeout: Duration::from_secs(5),
            tls: None,
            login: None,
            least_replicas: 1,
        }
    }

    /// A session of its own, without a keyspace.
    pub(super) async fn session(&self) -> Result<Session, ConnectError> {
        let profile = ExecutionProfile::builder()
            .consistency(Consistency::LocalQuorum)
            .request_timeout(Some(self.timeout))
            .build();
        let mut builder = SessionBuilder::new()
            .known_nodes_addr(&self.nodes)
            .default_execution_profile_handle(profile.into_handle())
            .connection_timeout(self.timeout);
        if let Some(tls) = &self.tls {
            builder = builder.tls_context(Some(client(tls)?));
        }
        if let Some(login) = &self.login {
            builder = builder.user(&login.username, login.password.expose());
        }
        let session = builder.build().await;
        let session = session.map_err(|cause| ConnectError::Unreachable {
            nodes: self.nodes.clone(),
            cause: Box::new(cause),
        })?;
        look(&session).await?;
        Ok(session)
    }
}

/// Sees to it that the driver knows what is there. Where its own first look fails it goes on as if there were no keyspace: seen
/// where a node that had just started no longer knew a statement that it had prepared for that look.
async fn look(session: &Session) -> Result<(), ConnectError> {
    let knows = || session.get_cluster_state().get_keyspace("system").is_some();
    for left in (0..LOOKS).rev() {
        if knows() {
            return Ok(());
        }
        match session.refresh_metadata().await {
            Err(error) if left == 0 => return Err(ConnectError::Metadata(error.to_string())),
            Err(_) => sleep(LOOK).await,
            Ok(()) => {}
        }
    }
    match knows() {
        true => Ok(()),
        false => Err(ConnectError::Metadata("no keyspace".to_owned())),
    }
}

fn client(tls: &ServerTls) -> Result<Arc<ClientConfig>, ConnectError> {
    let Some(file) = &tls.ca_file else {
        let client = ClientConfig::with_platform_verifier();
        let client = client.map_err(|error| ConnectError::Authority(error.to_string()))?;
        return Ok(Arc::new(client));
    };
    let refused = |error: &dyn std::fmt::Display| {
        ConnectError::Authority(format!("{}: {error}", file.display()))
    };
    let mut roots = RootCertStore::empty();
    let pem = CertificateDer::pem_file_iter(file).map_err(|error| refused(&error))?;
    for certificate in pem {
        let certificate = certificate.map_err(|error| refused(&error))?;
        roots.add(certificate).map_err(|error| refused(&error))?;
    }
    if roots.is_empty() {
        return Err(refused(&"it holds no certificate"));
    }
    let client = ClientConfig::builder().with_root_certificates(roots);
    Ok(Arc::new(client.with_no_client_auth()))
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No node answers.
    #[error("Cassandra at {nodes:?}: {cause}; check cassandra.nodes, and that the nodes run")]
    Unreachable {
        /// Where they were looked for.
        nodes: Vec<SocketAddr>,
        /// What the driver says.
        cause: Box<NewSessionError>,
    },
    /// A node answers, and says nothing of what it holds.
    #[error("Cassandra does not say which keyspaces it has: {0}")]
    Metadata(String),
    /// The tables are not what this relay knows.
    #[error(
        "Cassandra's keyspace {keyspace} is not ready for this relay ({cause}): run `sordino-relay migrate`"
    )]
    Schema {
        /// Its name.
        keyspace: String,
        /// What the driver says.
        cause: Box<PrepareError>,
    },
    /// The certificates of who vouches for the nodes.
    #[error("cassandra.ca_file: {0}")]
    Authority(String),
    /// A setting that is no name.
    #[error("cassandra.keyspace: {0:?} is no name; use letters, digits and _")]
    Keyspace(String),
}

/// History in Cassandra.
pub struct Cassandra {
    pub(super) keyspace: String,
    current: Arc<Current>,
}

/// The connections in use, until others take their place.
type Current = RwLock<Arc<Connected>>;

/// A session, and what it knows how to ask.
pub(super) struct Connected {
    pub(super) session: Session,
    pub(super) statements: Statements,
}

impl Cassandra {
    /// Connects and prepares every statement. Within a runtime: as long as this value lives, a task sees to it that it is
    /// connected.
    pub async fn connect(options: &Options) -> Result<Self, ConnectError> {
        check_name(&options.keyspace)?;
        let connected = Arc::new(Connected::new(options).await?);
        let current = Arc::new(RwLock::new(connected));
        tokio::spawn(keep(Arc::downgrade(&current), options.clone()));
        Ok(Self {
            keyspace: options.keyspace.clone(),
            current,
        })
    }

    /// The connections to use now.
    pub(super) fn now(&self) -> Arc<Connected> {
        let current = self.current.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }
}

impl Connected {
    async fn new(options: &Options) -> Result<Self, ConnectError> {
        let session = options.session().await?;
        let statements = Statements::prepare(&session, &options.keyspace).await;
        let statements = statements.map_err(|cause| ConnectError::Schema {
            keyspace: options.keyspace.clone(),
            cause: Box::new(cause),
        })?;
        Ok(Self {
            session,
            statements,
        })
    }

    /// Whether any node can be asked.
    fn is_connected(&self) -> bool {
        let state = self.session.get_cluster_state();
        state
            .get_nodes_info()
            .iter()
            .any(|node| node.is_connected())
    }
}

/// How often it is looked what a cluster holds, until it says so.
const LOOKS: usize = 5;
/// How often is looked whether there is a connection, and how often one is tried to be made.
const LOOK: Duration = Duration::from_secs(1);

/// When all nodes were away, the driver waits up to ten seconds between two attempts, and no stable setting shortens that. A
/// session of its own, made as soon as a node answers, is there earlier.
async fn keep(current: Weak<Current>, options: Options) {
    let mut connected_before = true;
    loop {
        sleep(LOOK).await;
        let Some(current) = current.upgrade() else {
            return;
        };
        let now = Arc::clone(&current.read().unwrap_or_else(PoisonError::into_inner));
        let connected = now.is_connected();
        // Twice in a row: connections of a node that restarts are gone for a moment.
        if !connected && !connected_before {
            match Connected::new(&options).await {
                Ok(fresh) => {
                    tracing::info!("connected to Cassandra again");
                    *current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
                }
                Err(error) => tracing::debug!("{error}"),
            }
        }
        connected_before = connected;
    }
}

/// It is part of a statement's text.
pub(super) fn check_name(keyspace: &str) -> Result<(), ConnectError> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if keyspace.is_empty() || keyspace.len() > 48 || !keyspace.chars().all(good) {
        return Err(ConnectError::Keyspace(keyspace.to_owned()));
    }
    Ok(())
}

/// The text is for the operator's log.
pub(super) fn failed(error: impl std::fmt::Display) -> HistoryError {
    HistoryError::Failed(error.to_string())
}
