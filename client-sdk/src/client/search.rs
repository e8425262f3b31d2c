//! Search, and the index that it needs.

use super::Client;
use crate::{
    engine::Shared,
    error::Error,
    machine::Machine,
    search::{Hit, Query},
};

impl Client {
    /// The newest messages that have every word of `query`, whatever their case and accents; of the last one, the beginning is enough while no
    /// space follows it. `"Words in quotes"` stand one after the other, and what is written without spaces (Chinese, Japanese,
    /// Thai; Korean as well) is found by any part of it. All of it happens on this device.
    ///
    /// No text is an error. One without a letter, a digit or an emoji finds nothing.
    ///
    /// # Errors
    /// `NotRegistered`, `StoreFailed`, `Stopped`.
    pub async fn search(&self, query: impl Into<Query>) -> Result<Vec<Hit>, Error> {
        let query = query.into();
        let found =
            self.inner.core.shared.run(move |machine| {
                machine.search(&query.text, query.with, query.before, query.limit)
            });
        Ok(found.await?.into_iter().filter_map(Hit::of).collect())
    }
}

/// An earlier version has stored messages without an index: they come into it little by little, so that opening waits for nothing, and
/// neither does what is sent meanwhile.
pub(super) async fn index_backlog(shared: Shared) {
    loop {
        match shared.run(Machine::index_backlog).await {
            Ok(true) => {}
            Ok(false) => return,
            // At the next opening it goes on.
            Err(error) => {
                tracing::debug!(code = error.code().as_str(), "messages are not indexed");
                return;
            }
        }
    }
}
