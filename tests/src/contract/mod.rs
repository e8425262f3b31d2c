//! The promises P1 to P4 of the delivery contract, judged across processes.
//!
//! Relay and clients are programs of their own ([`process`]). Each client appends what it knows to a file ([`note`]) that
//! outlives its kills; [`run`] lets them talk and kills them at random; [`check`] compares the notes with what everybody
//! holds in the end.

pub mod check;
pub mod disk;
pub mod note;
pub mod outcome;
pub mod process;
pub mod run;
pub mod talk;
