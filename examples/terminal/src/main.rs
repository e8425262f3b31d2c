//! A chat in the terminal. So far its screen; what connects it with the client comes with the client's public interface.
#![allow(dead_code, reason = "the screen comes before what drives it")]

mod app;
mod args;
mod clock;
#[cfg(test)]
mod fixture;
mod input;
mod model;
mod screen;
mod signals;
mod text;
mod view;

fn main() {}
