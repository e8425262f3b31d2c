//! Metrics in the Prometheus text format. `docs/metrics.md` lists them all, and a test holds it to the code.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::{accept::Counter, process};

/// Upper bounds of the latency histogram, in seconds.
const LATENCIES: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
/// Those of a number of records.
const COUNTS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];
/// How often what was recorded is folded together; until then it takes memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// Why there are no metrics.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The recorder cannot be built.
    #[error("metrics: {0}")]
    Build(#[from] BuildError),
    /// The program that the relay runs in records its own.
    #[error("metrics: this process has another recorder already; leave ops.listen unset")]
    Taken,
}

/// The recorder of this process. Relays of one process share it.
pub fn install() -> Result<PrometheusHandle, MetricsError> {
    static HANDLE: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    // Held to the end: of two relays that start at the same moment the second must find the first one's.
    let mut installed = HANDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*installed {
        return Ok(handle.clone());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCIES)?
        .set_buckets_for_metric(Matcher::Suffix("_records".to_owned()), &COUNTS)?
        .build_recorder();
    let handle = recorder.handle();
    ::metrics::set_global_recorder(recorder).map_err(|_| MetricsError::Taken)?;
    begin_at_zero();
    Ok(installed.insert(handle).clone())
}

/// What alerts watch and has not happened yet: to Prometheus a counter that appears with its first event has not risen.
fn begin_at_zero() {
    ::metrics::counter!("sordino_chat_accepted_total").increment(0);
    for code in ["busy", "internal", "storage_full"] {
        ::metrics::counter!("sordino_chat_refused_total", "code" => code).increment(0);
    }
    ::metrics::counter!("sordino_delivery_retries_total").increment(0);
    ::metrics::counter!("sordino_push_failed_total", "why" => "refused").increment(0);
}

/// Folds what was recorded, until told to stop.
pub(super) async fn upkeep(handle: PrometheusHandle, stop: CancellationToken) {
    let mut tick = interval(UPKEEP);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => handle.run_upkeep(),
        }
    }
}

/// Everything, as of now.
pub(super) fn render(
    handle: &PrometheusHandle,
    connections: Option<&Counter>,
    draining: bool,
) -> String {
    if let Some(connections) = connections {
        ::metrics::gauge!("sordino_connections").set(connections.open() as f64);
        ::metrics::gauge!("sordino_connections_half_open").set(connections.half_open() as f64);
    }
    ::metrics::gauge!("sordino_draining").set(f64::from(u8::from(draining)));
    if let Some(usage) = process::usage() {
        ::metrics::gauge!("process_resident_memory_bytes").set(usage.resident_bytes as f64);
        ::metrics::gauge!("process_cpu_seconds_total").set(usage.cpu_seconds);
        ::metrics::gauge!("process_open_fds").set(usage.open_files as f64);
    }
    handle.render()
}
