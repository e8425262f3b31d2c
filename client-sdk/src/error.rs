//! What can go wrong, with whose fault it is and whether to try again.

use std::{fmt, path::Path, time::Duration};

use sordino_protocol::error::{Blame, Code, Retry};

/// What is said of something that is no user name.
pub(crate) const NO_NAME: &str =
    "a user name has 3 to 32 of a-z 0-9 . _ - and begins with a letter or digit";

/// A failed call: a stable code, and what exactly happened, for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    code: Code,
    detail: String,
    retry_after: Option<Duration>,
}

impl Error {
    /// An error with this code. `detail` must name no secret and no text of a message.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// The same error with the wait that the relay asked for, which then stands for the one that goes with the code.
    #[must_use]
    pub const fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The same error with the file or directory that it is about.
    #[must_use]
    pub(crate) fn at(mut self, path: &Path) -> Self {
        self.detail = match self.detail.as_str() {
            "" => path.display().to_string(),
            detail => format!("{}: {detail}", path.display()),
        };
        self
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// What exactly happened; may be empty.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        self.code.blame()
    }

    /// Whether to try again.
    #[must_use]
    pub const fn retry(&self) -> Retry {
        match self.retry_after {
            Some(wait) => Retry::After(wait),
            None => self.code.retry(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = self.code.meaning();
        f.write_str(meaning)?;
        // A relay that has nothing to add says the meaning again.
        if !self.detail.is_empty() && self.detail != meaning {
            write!(f, " ({})", self.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_happened_whose_fault_it_is_and_what_to_do() {
        let error = Error::new(Code::StoreNewer, "version 9");
        assert_eq!(error.blame(), Blame::Caller);
        assert_eq!(error.retry(), Retry::Never);
        assert_eq!(
            error.to_string(),
            "The store was written by a later version of the app; update the app. (version 9)"
        );
        let busy = Error::new(Code::Busy, "").after(Duration::from_secs(7));
        assert_eq!(busy.retry(), Retry::After(Duration::from_secs(7)));
        let taken = Error::new(Code::NameTaken, Code::NameTaken.meaning());
        assert_eq!(taken.to_string(), Code::NameTaken.meaning());
        let path = Path::new("/there/store");
        let at = |detail| Error::new(Code::StoreFailed, detail).at(path);
        assert_eq!(at("").detail(), "/there/store");
        assert_eq!(at("no space").detail(), "/there/store: no space");
        let plain = Error::new(Code::Stopped, "");
        assert_eq!(
            plain.to_string(),
            "The client is closed or suspended; open it again, or resume it."
        );
    }
}
