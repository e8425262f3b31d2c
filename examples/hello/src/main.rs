//! Sordino.
fn main() {}
