//! The delivery path as models that are explored state by state: every order of events, every fault, within small bounds.
//!
//! `apply` and the hole rule are the relay's own code. Around them stand a log, replicas, nodes, sessions and clients as
//! small as they can be. [`accept`] goes from a sender to the log, [`takeover`] from the log into history while owners
//! change, [`deliver`] from history to an online device. `docs/model.md` says what is modelled and what is not.

pub mod accept;
pub mod deliver;
pub mod explore;
pub mod rules;
pub mod takeover;
