-- By what somebody may make an account, where the operator does not let everybody.

CREATE TABLE invites (
    -- Of the invite, which is a secret and stands nowhere.
    hash       BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    uses_left  INTEGER NOT NULL CHECK (uses_left >= 0),
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Whose account it is by the word of the app's own login: one account for one subject.
CREATE TABLE subjects (
    -- Of issuer and subject.
    hash    BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    user_id BLOB NOT NULL UNIQUE REFERENCES users (id)
) STRICT, WITHOUT ROWID;
