//! What the user has set for all their devices.

use rusqlite::params;

use super::{Decided, Tx, sql::N};
use crate::error::Error;

/// Each part as it was decided last, on whichever device. Where two were decided in one millisecond the greater holds back more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Nobody learns what was read.
    pub receipts_off: Decided<bool>,
    /// Nobody sees that the user types.
    pub typing_off: Decided<bool>,
    /// Who does not see that the user is there: 0 nobody, 1 who is not verified, 2 everybody.
    pub presence: Decided<u32>,
    /// What the user calls themselves.
    pub display_name: Decided<String>,
}

impl Tx<'_> {
    /// What is set.
    pub fn settings(&self) -> Result<Settings, Error> {
        let settings = self.one(
            "SELECT receipts_off, receipts_ms, typing_off, typing_ms, presence, presence_ms, display_name, display_name_ms FROM settings",
            [],
            |row| {
                let at_ms = |column| row.get::<_, N>(column).map(|n| n.0);
                Ok(Settings {
                    receipts_off: Decided {
                        what: row.get(0)?,
                        at_ms: at_ms(1)?,
                    },
                    typing_off: Decided {
                        what: row.get(2)?,
                        at_ms: at_ms(3)?,
                    },
                    presence: Decided {
                        what: row.get(4)?,
                        at_ms: at_ms(5)?,
                    },
                    display_name: Decided {
                        what: row.get(6)?,
                        at_ms: at_ms(7)?,
                    },
                })
            },
        )?;
        Ok(settings.unwrap_or_default())
    }

    /// Sets [`Self::settings`].
    pub fn put_settings(&self, settings: &Settings) -> Result<(), Error> {
        self.run(
            "INSERT OR REPLACE INTO settings VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                settings.receipts_off.what,
                N(settings.receipts_off.at_ms),
                settings.typing_off.what,
                N(settings.typing_off.at_ms),
                settings.presence.what,
                N(settings.presence.at_ms),
                settings.display_name.what,
                N(settings.display_name.at_ms),
            ],
        )?;
        Ok(())
    }
}
