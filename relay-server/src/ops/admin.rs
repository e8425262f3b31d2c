//! The operator's own listener: metrics and health, away from what the world reaches.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    accept::{Counter, Server},
    client::Proxies,
    metrics,
};
use crate::{
    config::Limits,
    history::embedded::Store,
    http::{Api, health},
};

/// What an operator's tools need at a time, and no more.
const CONNECTIONS: usize = 64;

/// The running listener. Dropped, it ends.
pub struct Admin {
    server: Server,
    _upkeep: DropGuard,
}

#[derive(Clone)]
struct Metrics {
    handle: PrometheusHandle,
    connections: Option<Counter>,
    store: Option<Arc<Store>>,
    draining: CancellationToken,
}

impl Admin {
    /// Listens on `listen`; `connections` are those of the public listener, `store` the embedded one, if there
    /// are any.
    pub async fn start(
        listen: SocketAddr,
        limits: &Limits,
        api: Arc<Api>,
        handle: PrometheusHandle,
        connections: Option<Counter>,
        store: Option<Arc<Store>>,
    ) -> io::Result<Self> {
        let limits = Limits {
            connections: CONNECTIONS,
            half_open: CONNECTIONS / 2,
            ..limits.clone()
        };
        let stop = CancellationToken::new();
        tokio::spawn(metrics::upkeep(handle.clone(), stop.clone()));
        let metrics = Metrics {
            handle,
            connections,
            store,
            draining: api.draining.clone(),
        };
        let routes = Router::new()
            .route("/metrics", get(exposition).with_state(metrics))
            .route("/healthz", get(health::alive))
            .route("/readyz", get(health::ready))
            .with_state(api);
        let listener = TcpListener::bind(listen).await?;
        // Whom the operator lets reach this address may read it: it holds no user's data.
        let everyone = Proxies::everyone();
        Ok(Self {
            server: Server::start(listener, routes, None, everyone, &limits)?,
            _upkeep: stop.drop_guard(),
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }
}

async fn exposition(State(metrics): State<Metrics>) -> impl IntoResponse {
    if let Some(store) = metrics.store {
        // It asks the file system, which may take its time.
        let _ = tokio::task::spawn_blocking(move || store.record_usage()).await;
    }
    let text = metrics::render(
        &metrics.handle,
        metrics.connections.as_ref(),
        metrics.draining.is_cancelled(),
    );
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], text)
}
