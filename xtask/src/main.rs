//! TODO doc
fn main() {}
