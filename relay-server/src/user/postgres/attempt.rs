//! A transaction, tried again where the database ended it in favour of another.

use crate::user::UserError;

/// Deadlocks are designed out (see [`super`]); what is left is an operator's own session in between.
const ATTEMPTS: usize = 4;

/// Why a transaction ended without a commit.
pub(super) enum Stop {
    /// It would say the same if it ran again.
    Refused(UserError),
    /// The database's.
    Database(sqlx::Error),
}

impl From<UserError> for Stop {
    fn from(error: UserError) -> Self {
        Self::Refused(error)
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Stop> for UserError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Refused(error) => error,
            Stop::Database(error) => error.into(),
        }
    }
}

/// Runs a whole transaction, from its begin to its commit, until it is not the one that had to give way.
pub(super) async fn retrying<T, F>(run: impl Fn() -> F) -> Result<T, UserError>
where
    F: Future<Output = Result<T, Stop>>,
{
    for _ in 1..ATTEMPTS {
        match run().await {
            Err(Stop::Database(error)) if gave_way(&error) => {}
            done => return Ok(done?),
        }
    }
    Ok(run().await?)
}

/// Only what the database says it rolled back: after a lost connection nobody knows whether the commit came through.
fn gave_way(error: &sqlx::Error) -> bool {
    const SERIALIZATION_FAILURE: &str = "40001";
    const DEADLOCK_DETECTED: &str = "40P01";
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(
        code.as_deref(),
        Some(SERIALIZATION_FAILURE | DEADLOCK_DETECTED)
    )
}
