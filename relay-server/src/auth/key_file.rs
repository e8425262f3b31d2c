//! Keys of 32 bytes in files of the data directory, made where there are none.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// A key.
pub(super) type Key = Zeroizing<[u8; 32]>;

/// Reads the file, or draws a key and writes it where there is none.
pub(super) fn load_or_create(file: &Path) -> io::Result<Key> {
    match OpenOptions::new().read(true).open(file) {
        Ok(opened) => read(opened),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(file),
        Err(error) => Err(error),
    }
}

/// From 64 hexadecimal digits; `None` for anything else.
pub(super) fn from_hex(digits: &str) -> Option<Key> {
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits.trim(), key.as_mut_slice()).ok()?;
    Some(key)
}

/// Another key that follows from this one: HMAC-SHA-256(key, label).
pub(super) fn derive(key: &[u8; 32], label: &[u8]) -> Key {
    // A key shorter than a block is filled up with zeros, as HMAC does with it anyway.
    let mut block = Zeroizing::new([0; 64]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    mac.update(label);
    let mut derived = Zeroizing::new([0; 32]);
    let tag = mac.finalize().into_bytes();
    derived
        .iter_mut()
        .zip(tag)
        .for_each(|(to, from)| *to = from);
    derived
}

fn read(mut opened: File) -> io::Result<Key> {
    let mut key = Zeroizing::new([0; 32]);
    opened.read_exact(key.as_mut_slice())?;
    // A longer file is some other file: better to stop than to go on with its beginning.
    if opened.read(&mut [0])? != 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a key must be 32 bytes",
        ));
    }
    Ok(key)
}

fn create(file: &Path) -> io::Result<Key> {
    let key = Zeroizing::new(rand::random::<[u8; 32]>());
    // Whole or not at all: what a crash leaves of it is not read as the key.
    let new = file.with_extension("new");
    if let Err(error) = fs::remove_file(&new)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    // The mode is part of the creation: a chmod afterwards would leave a moment in which others may open it.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut created = options.open(&new)?;
    created.write_all(key.as_slice())?;
    created.sync_all()?;
    fs::rename(&new, file)?;
    // The name, too, must survive the loss of power: what is stored next may be of no use without this key.
    let parent = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(key)
}
