-- By what somebody may make an account, where the operator does not let everybody.

CREATE TABLE invites (
    -- Of the invite, which is a secret and stands nowhere.
    hash       bytea  NOT NULL PRIMARY KEY CHECK (octet_length(hash) = 32),
    uses_left  bigint NOT NULL CHECK (uses_left >= 0),
    expires_ms bigint NOT NULL
);

-- Whose account it is by the word of the app's own login: one account for one subject.
CREATE TABLE subjects (
    -- Of issuer and subject.
    hash    bytea NOT NULL PRIMARY KEY CHECK (octet_length(hash) = 32),
    user_id bytea NOT NULL UNIQUE REFERENCES users (user_id)
);
