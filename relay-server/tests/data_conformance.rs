//! The embedded data path does what every one must.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod data_support;

use data_support::{
    conformance::{history_conformance, log_conformance},
    run,
};
use sordino_relay::{broker::AppendError, delivery::embedded::Running};

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_log_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let (
        Running {
            log,
            history,
            handle,
        },
        _,
    ) = run(dir.path()).await;
    log_conformance(&*log, &*history, Err(AppendError::Gap)).await;
    handle.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_history_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let (
        Running {
            log,
            history,
            handle,
        },
        _,
    ) = run(dir.path()).await;
    history_conformance(&*log, &*history).await;
    handle.shutdown().await.unwrap();
}
