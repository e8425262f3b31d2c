//! Files that hold secrets, and who may read them.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{Config, Problem};

/// Group and others: to read, to write.
const OTHERS: u32 = 0o066;
/// Others alone. A key in TLS is often kept for a group of programs.
const STRANGERS: u32 = 0o006;

impl Config {
    /// Secrets that more than the relay's user may read.
    pub(super) fn secret_file_warnings(&self) -> Vec<Problem> {
        let own = self.store.data.join("token.key");
        let passwords = self.store.data.join("password.key");
        let files: [(&'static str, Option<&PathBuf>, u32); 10] = [
            (
                "store.data",
                Some(&own).filter(|_| self.keeps_data()),
                OTHERS,
            ),
            (
                "store.data",
                Some(&passwords).filter(|_| self.keeps_data()),
                OTHERS,
            ),
            (
                "auth.password_key_file",
                self.auth.password_key_file.as_ref(),
                OTHERS,
            ),
            (
                "auth.token_key_file",
                self.auth.token_key_file.as_ref(),
                OTHERS,
            ),
            ("tls.key", self.tls.key.as_ref(), STRANGERS),
            ("postgres.url_file", self.postgres.url_file.as_ref(), OTHERS),
            ("redis.url_file", self.redis.url_file.as_ref(), OTHERS),
            (
                "kafka.password_file",
                self.kafka.password_file.as_ref(),
                OTHERS,
            ),
            (
                "cassandra.password_file",
                self.cassandra.password_file.as_ref(),
                OTHERS,
            ),
            (
                "push.fcm_service_account_file",
                self.push.fcm_service_account_file.as_ref(),
                OTHERS,
            ),
        ];
        let open = |(key, file, whom): (_, Option<&PathBuf>, _)| warning(key, file?, whom);
        files.into_iter().filter_map(open).collect()
    }
}

fn warning(key: &'static str, file: &Path, whom: u32) -> Option<Problem> {
    let mode = std::fs::metadata(file).ok()?.mode();
    (mode & whom != 0).then(|| Problem {
        key,
        what: format!(
            "{}: others than its owner may read or change it (mode {:o})",
            file.display(),
            mode & 0o777
        ),
        fix: "take that away with `chmod 600`, or `chmod 640` where a group needs a TLS key",
    })
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{Permissions, set_permissions, write},
        os::unix::fs::PermissionsExt,
    };

    use super::*;

    #[test]
    fn a_secret_that_others_may_read_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("key");
        write(&file, b"").expect("written");
        let own = dir.path().join("token.key");
        write(&own, b"").expect("written");
        let mut config = Config::new(dir.path());
        config.auth.token_key_file = Some(file.clone());
        config.tls.key = Some(file.clone());
        for (mode, keys) in [
            (0o600, &[][..]),
            (0o640, &["store.data", "auth.token_key_file"]),
            (0o604, &["store.data", "auth.token_key_file", "tls.key"]),
        ] {
            for file in [&file, &own] {
                set_permissions(file, Permissions::from_mode(mode)).expect("set");
            }
            let told: Vec<_> = config
                .secret_file_warnings()
                .iter()
                .map(|p| p.key)
                .collect();
            assert_eq!(told, keys, "{mode:o}");
        }
    }
}
