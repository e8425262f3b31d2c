//! The Sordino relay: stores public keys, routes ciphertext, keeps history that it cannot read.

pub mod accounts;
pub mod auth;
pub mod backup;
pub mod broker;
pub mod chat;
pub mod config;
pub mod delivery;
pub mod disabled;
pub mod history;
pub mod http;
pub mod init;
pub mod inspect;
pub mod link;
pub mod notify;
pub mod ops;
pub mod relay;
pub mod session;
pub mod snowflake;
pub mod stores;
pub mod user;
