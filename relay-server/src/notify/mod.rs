//! Notification: waking devices that sleep, so that they fetch what waits for them.
//!
//! A device is woken when it has not acknowledged a message some seconds after it was stored, whether it is connected or not: a
//! connection that brings no acknowledgement may be dead. The wake says nothing, so one stands for all that a device lacks. Nothing
//! here is on a message's way: what delivery hands over is a hint in a bounded queue, and all the rest is read from the stores.
//!
//! All devices of an account are woken, too, when somebody wants another identity key for it who has nothing but the login.

#[cfg(feature = "cluster")]
pub(crate) mod cluster;
mod devices;
pub mod fcm;
mod hints;
mod provider;
mod resets;
mod retry;
mod scan;
mod watch;

use std::{collections::HashMap, sync::Arc, time::Duration};

use sordino_protocol::http::PushProvider;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{devices::Devices, watch::Watch};
pub use self::{
    hints::Hints,
    provider::{Outcome, Push},
    retry::Retry,
};
use crate::{
    history::History,
    ops::said::Said,
    user::{PushTarget, Users},
};

/// Settings of notification.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a device has to acknowledge a message before it is woken.
    pub delay: Duration,
    /// How long a device that was woken has to wake up before more messages wake it once more.
    pub window: Duration,
    /// Conversations that may wait to be looked after.
    pub capacity: usize,
    /// How many are looked after at a time: requests to the provider at a time, too. As many accounts at each look for resets.
    pub at_a_time: usize,
    /// Devices of which is remembered when they were woken.
    pub devices: usize,
    /// Waits between tries.
    pub retry: Retry,
    /// When a wake that the provider does not take is given up.
    pub give_up: Duration,
    /// How often is looked for accounts whose devices are to be woken for a reset that waits.
    pub resets: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(3),
            window: Duration::from_secs(60),
            capacity: 16_384,
            at_a_time: 64,
            devices: 65_536,
            retry: Retry::default(),
            give_up: Duration::from_secs(3600),
            resets: Duration::from_secs(60),
        }
    }
}

impl Settings {
    /// The queue for what is to be looked after.
    pub fn hints(&self) -> Arc<Hints> {
        Hints::new(self.delay, self.capacity)
    }
}

/// The providers that are configured.
#[derive(Clone, Default)]
pub struct Providers(HashMap<PushProvider, Arc<dyn Push>>);

impl Providers {
    /// With one more.
    #[must_use]
    pub fn with(mut self, provider: PushProvider, push: Arc<dyn Push>) -> Self {
        self.0.insert(provider, push);
        self
    }

    /// Whether nobody can be woken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, provider: PushProvider) -> bool {
        self.0.contains_key(&provider)
    }

    async fn wake(&self, target: &PushTarget) -> Outcome {
        match self.0.get(&target.provider) {
            Some(push) => push.wake(&target.token).await,
            None => Outcome::Refused(format!("{} is not configured", target.provider.as_str())),
        }
    }
}

/// Running notification. Dropped, it stops by itself.
pub struct Notifier {
    tasks: JoinSet<()>,
    stop: CancellationToken,
    #[cfg(feature = "cluster")]
    consumer: Option<cluster::Running>,
    _stop: DropGuard,
}

impl Notifier {
    /// On the embedded stores: what delivery stores from now on comes as hints, what is there already is scanned.
    pub fn embedded(
        settings: Settings,
        hints: Arc<Hints>,
        users: Arc<dyn Users>,
        history: Arc<dyn History>,
        providers: Providers,
    ) -> Self {
        let watch = watch(settings, hints, users, history, providers, None);
        let mut notifier = Self::looking(Arc::clone(&watch));
        let stop = notifier.stop.clone();
        notifier.tasks.spawn(async move {
            stop.run_until_cancelled(scan::run(watch)).await;
        });
        notifier
    }

    fn looking(watch: Arc<Watch>) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(resets::run(Arc::clone(&watch), stop.clone()));
        tasks.spawn(watch::run(watch, stop.clone()));
        Self {
            tasks,
            _stop: stop.clone().drop_guard(),
            stop,
            #[cfg(feature = "cluster")]
            consumer: None,
        }
    }

    /// Stops. What was not looked after is found at the next start, or by another node.
    pub async fn stop(mut self) {
        #[cfg(feature = "cluster")]
        if let Some(consumer) = self.consumer.take() {
            // First: its last commit must not count what is dropped below.
            consumer.leave().await;
        }
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

fn watch(
    settings: Settings,
    hints: Arc<Hints>,
    users: Arc<dyn Users>,
    history: Arc<dyn History>,
    providers: Providers,
    decided: Option<Arc<dyn watch::Decided>>,
) -> Arc<Watch> {
    Arc::new(Watch {
        devices: Devices::new(settings.window, settings.devices),
        settings,
        hints,
        users,
        history,
        providers,
        decided,
        said: Said::default(),
    })
}
