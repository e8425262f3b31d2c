//! The certificate of every server, for this machine.
use std::{fs, path::PathBuf, process::Command};

use super::words;
use crate::{Error, packages::OPENSSL, place::Place, process::run};

/// Certificate and key.
pub(crate) fn file(place: &Place) -> PathBuf {
    place.etc("server.pem")
}

/// What a client has to trust.
pub(crate) fn authority(place: &Place) -> PathBuf {
    place.etc("ca.pem")
}

/// Makes them if they are not there.
pub(crate) fn ensure(place: &Place) -> Result<(), Error> {
    if file(place).exists() {
        return Ok(());
    }
    make(place)
}

/// A certificate for this machine and the authority that signed it, whose key is thrown away.
fn make(place: &Place) -> Result<(), Error> {
    let new = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650";
    let [ca_key, ca, key, leaf] =
        ["ca.key", "ca.pem", "server.key", "server.crt"].map(|file| place.etc(file));
    // An authority of its own: a client that trusts a certificate as a root does not take it for a server's, too.
    let mut authority = Command::new(OPENSSL.path()?);
    authority
        .arg("req")
        .args(words(new))
        .args(["-subj", "/CN=Sordino stack"])
        .args(["-addext", "keyUsage=critical,keyCertSign"])
        .arg("-keyout")
        .arg(&ca_key)
        .arg("-out")
        .arg(&ca);
    run(&mut authority, "making a certificate")?;
    let mut server = Command::new(OPENSSL.path()?);
    server
        .arg("req")
        .args(words(new))
        .args(["-subj", "/CN=localhost"])
        .args([
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:127.0.0.2,IP:127.0.0.3",
        ])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-addext", "extendedKeyUsage=serverAuth"])
        .arg("-CA")
        .arg(&ca)
        .arg("-CAkey")
        .arg(&ca_key)
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&leaf);
    run(&mut server, "making a certificate")?;
    let read = |path: &PathBuf| fs::read(path).map_err(Error::io("read a certificate"));
    place.write(&file(place), &[read(&leaf)?, read(&key)?].concat())?;
    [ca_key, key, leaf]
        .iter()
        .try_for_each(fs::remove_file)
        .map_err(Error::io("remove a key"))
}
