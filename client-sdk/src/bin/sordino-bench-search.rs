//! What search costs; `cargo xtask bench search` builds and runs it.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let json = std::env::args().any(|arg| arg == "--json");
    Ok(sordino::bench::search(json)?)
}
