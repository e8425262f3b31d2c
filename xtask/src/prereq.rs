//! What the build needs besides Rust: OpenSSL (inside SQLCipher) is compiled from source.
use sordino_stack::Program;

const NEEDED: &[Program] = &[
    Program::in_path("cc", "gcc libc6-dev"),
    Program::in_path("make", "make"),
    Program::in_path("perl", "perl"),
];

/// librdkafka is compiled from source.
const CLUSTER: &[Program] = &[Program::in_path("c++", "g++")];

/// What the reader of `tests/reader` runs on.
const NODE: &[Program] = &[
    Program::in_path("node", "nodejs"),
    Program::in_path("npm", "npm"),
];

/// Installs what is missing with apt-get; where that fails, the error names it.
pub(crate) fn ensure() -> Result<(), String> {
    sordino_stack::ensure(NEEDED, |what| eprintln!("xtask: {what}")).map_err(|e| e.to_string())
}

/// The same for the relay with the stores of a cluster.
pub(crate) fn ensure_cluster() -> Result<(), String> {
    sordino_stack::ensure(CLUSTER, |what| eprintln!("xtask: {what}")).map_err(|e| e.to_string())
}

/// The same for the reader.
pub(crate) fn ensure_node() -> Result<(), String> {
    sordino_stack::ensure(NODE, |what| eprintln!("xtask: {what}")).map_err(|e| e.to_string())
}
