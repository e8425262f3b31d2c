-- Users, their device lists and their devices' prekeys: public keys only.

CREATE TABLE users (
    id       BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    username TEXT NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;

-- Every version is kept: clients check the chain.
CREATE TABLE device_lists (
    user_id BLOB    NOT NULL REFERENCES users (id),
    version INTEGER NOT NULL CHECK (version > 0),
    signed  BLOB    NOT NULL,
    PRIMARY KEY (user_id, version)
) STRICT, WITHOUT ROWID;

-- The devices of the newest version. Prekeys hang on them, so that removing a device forgets its prekeys.
CREATE TABLE devices (
    user_id     BLOB NOT NULL REFERENCES users (id),
    device_id   BLOB NOT NULL CHECK (length(device_id) = 16),
    signing_key BLOB NOT NULL CHECK (length(signing_key) = 32),
    PRIMARY KEY (user_id, device_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE prekeys (
    -- The order of arrival. AUTOINCREMENT: a number is never used again, so that the oldest stays the oldest.
    arrival    INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id    BLOB    NOT NULL,
    device_id  BLOB    NOT NULL,
    kind       INTEGER NOT NULL CHECK (kind BETWEEN 4 AND 7),
    key_id     INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    signed     BLOB    NOT NULL,
    UNIQUE (user_id, device_id, kind, key_id),
    FOREIGN KEY (user_id, device_id) REFERENCES devices (user_id, device_id) ON DELETE CASCADE
) STRICT;

CREATE INDEX prekeys_by_arrival ON prekeys (user_id, device_id, kind, arrival);
