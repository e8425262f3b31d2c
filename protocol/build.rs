//! Compiles `proto/` with protox, so that no `protoc` needs to be installed.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    const FILES: [&str; 5] = [
        "proto/sordino/v1/frames.proto",
        "proto/sordino/v1/message.proto",
        "proto/sordino/v1/content.proto",
        "proto/sordino/v1/vault.proto",
        "proto/sordino/v1/link.proto",
    ];
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let mut config = prost_build::Config::new();
    // `Bytes` fields are slices of the received buffer: decoding copies and allocates nothing per field.
    config.bytes(["."]);
    // Content carries plaintext and keys: no Debug that could end in a log.
    config.skip_debug([
        ".sordino.v1.Content",
        ".sordino.v1.Text",
        ".sordino.v1.Edit",
        ".sordino.v1.Reaction",
        ".sordino.v1.RewrappedKey",
        ".sordino.v1.Rewrap",
        ".sordino.v1.SharedKeys",
        ".sordino.v1.HistoryKeys",
        ".sordino.v1.ConversationKeys",
        ".sordino.v1.LinkGrant",
    ]);
    config.compile_fds(descriptors)?;
    Ok(())
}
