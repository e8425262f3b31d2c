//! End-to-end encrypted one-to-one messaging: the Sordino client.
//!
//! A [`Client`] keeps everything in an encrypted store on this device. Nothing needs the network to be called: a message
//! is sent when it is on the disk, and goes out when there is a connection, in order and once. What is shown comes as
//! [`LiveList`]s that begin with the whole list and stay up to date; what happens comes as [`Event`]s. Every [`Error`]
//! has a stable code, says whose fault it is, and whether to try again.
//!
//! ```no_run
//! use sordino::{Client, Event, FileKey, Password};
//!
//! # async fn example() -> Result<(), sordino::Error> {
//! let alice = Client::builder("http://127.0.0.1:7373")
//!     .store("alice")
//!     .keys(FileKey::new("alice.key"))
//!     .open()
//!     .await?;
//! if alice.me().is_none() {
//!     alice.register("alice", Some(&Password::new("a password of hers"))).await?;
//! }
//! let mut events = alice.events();
//! alice.connect();
//!
//! if let Some(bob) = alice.find_user("bob").await? {
//!     alice.conversation(bob.id).send("hello").await?;
//! }
//! while let Some(event) = events.next().await {
//!     if let Event::Received(message) = event {
//!         println!("{}", message.text);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What a relay learns and cannot learn is in `docs/threat-model.md`; this interface with its errors, in `docs/api.md`.

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod client;
mod contact;
mod conversation;
mod engine;
mod error;
mod events;
mod link;
mod live;
mod login;
mod machine;
mod net;
mod password;
mod search;
mod sign_up;
mod store;
mod sync;
mod types;
mod words;

pub use client::{Client, ClientBuilder};
pub use contact::{Contact, SafetyNumber, Trust};
pub use conversation::Conversation;
pub use engine::{Credential, VaultSecret};
pub use error::Error;
pub use events::{ConnectionState, Event, Events};
pub use link::{LinkRequest, Linking};
pub use live::{ListDiff, LiveList};
pub use login::{Login, LoginStep, RecoveryKey, ResetStep, Unlock};
pub use machine::{Position, PresencePolicy, Setting, Settings};
pub use password::{Password, VaultPolicy};
pub use search::{Hit, Query};
pub use sign_up::{ExternalToken, SignUp};
pub use sordino_protocol::{
    Blame, Code, ConversationId, DeviceId, Retry, UserId, http::PushProvider,
};
pub use store::{FileKey, FixedKey, KeyStore, StoreKey};
pub use types::{
    BackupPolicy, BackupState, ConversationRow, Device, Draft, Message, MessageId, Peer, Presence,
    Quote, Reaction, Restoring, SendState, TimelineItem, User,
};

/// The programs of the interface's page.
#[cfg(doctest)]
#[doc = include_str!("../../docs/api.md")]
struct ApiPage;
