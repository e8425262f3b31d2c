//! What is being typed, kept for the next start: one after the other, or an older one could take the place of a newer.

use std::{collections::HashMap, future::Future};

use sordino::UserId;
use tokio::{
    sync::mpsc::{self, UnboundedSender},
    task::JoinHandle,
};

/// A queue of drafts, of which those that are overtaken are not saved.
pub(crate) struct Drafts {
    queue: UnboundedSender<(UserId, String)>,
    saving: JoinHandle<()>,
}

impl Drafts {
    /// Saves with this.
    pub(crate) fn start<F>(save: impl Fn(UserId, String) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send,
    {
        let (queue, mut drafts) = mpsc::unbounded_channel();
        let saving = tokio::spawn(async move {
            while let Some((peer, text)) = drafts.recv().await {
                let mut newest = HashMap::from([(peer, text)]);
                while let Ok((peer, text)) = drafts.try_recv() {
                    newest.insert(peer, text);
                }
                for (peer, text) in newest {
                    save(peer, text).await;
                }
            }
        });
        Self { queue, saving }
    }

    /// This is what stands there now.
    pub(crate) fn save(&self, peer: UserId, text: String) {
        // Fails only after the end.
        let _ = self.queue.send((peer, text));
    }

    /// Waits until everything is saved.
    pub(crate) async fn end(self) {
        drop(self.queue);
        let _ = self.saving.await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_last_that_was_typed_is_the_last_that_is_saved() {
        let saved = Arc::new(Mutex::new(Vec::new()));
        let (noted, turn) = (saved.clone(), Arc::new(Mutex::new(0)));
        let drafts = Drafts::start(move |peer, text: String| {
            let (noted, turn) = (noted.clone(), turn.clone());
            async move {
                // The first ones take the longest.
                let turns = {
                    let mut turn = turn.lock().unwrap();
                    *turn += 1;
                    200 / *turn
                };
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
                noted.lock().unwrap().push((peer, text));
            }
        });
        let (one, two) = (UserId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));
        for n in 0..100 {
            drafts.save(one, n.to_string());
            drafts.save(two, format!("two {n}"));
            tokio::task::yield_now().await;
        }
        drafts.save(one, String::new());
        drafts.end().await;
        let saved = saved.lock().unwrap();
        let last = |of| {
            saved
                .iter()
                .rfind(|(peer, _)| *peer == of)
                .unwrap()
                .1
                .as_str()
        };
        assert_eq!((last(one), last(two)), ("", "two 99"));
    }
}
