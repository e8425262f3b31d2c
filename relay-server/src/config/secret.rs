//! A value that is used and never shown.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// What stands for a secret wherever configuration is shown.
const REDACTED: &str = "(secret)";

/// The text of a secret, from a configuration file or the environment. The source keeps its own copy: where that matters,
/// use a `…_file` key.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// To be used within the call, never kept.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The library's own message would quote the value.
        let text = String::deserialize(deserializer)
            .map_err(|_| serde::de::Error::custom("a secret must be a text"))?;
        Ok(Self(Zeroizing::new(text)))
    }
}
