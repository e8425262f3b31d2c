CREATE TABLE account (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    user BLOB NOT NULL CHECK (length(user) = 16),
    device BLOB NOT NULL CHECK (length(device) = 16),
    username TEXT NOT NULL,
    registered INTEGER NOT NULL DEFAULT 0,
    identity_key BLOB NOT NULL CHECK (length(identity_key) = 32),
    list_signing_key BLOB NOT NULL CHECK (length(list_signing_key) = 32),
    device_signing_key BLOB NOT NULL CHECK (length(device_signing_key) = 32),
    device_identity_key BLOB NOT NULL CHECK (length(device_identity_key) = 32),
    -- One sequence for all kinds: an id is never used for two keys.
    next_prekey INTEGER NOT NULL DEFAULT 1,
    -- All prekeys on the relay are to be replaced.
    replace_prekeys INTEGER NOT NULL DEFAULT 0,
    last_rollback_ms INTEGER,
    -- From the discovery of a rollback until every conversation has caught up.
    recovering INTEGER NOT NULL DEFAULT 0,
    -- Two copies of the store are in use.
    stopped INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Every verified version, own and others'.
CREATE TABLE lists (
    user BLOB NOT NULL CHECK (length(user) = 16),
    version INTEGER NOT NULL CHECK (version > 0),
    signed BLOB NOT NULL,
    -- When this device first held it.
    seen_ms INTEGER NOT NULL,
    PRIMARY KEY (user, version)
) STRICT;

CREATE TABLE pins (
    user BLOB PRIMARY KEY CHECK (length(user) = 16),
    identity_key BLOB NOT NULL CHECK (length(identity_key) = 32),
    version INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    -- Identity keys that were replaced, 32 bytes each.
    retired BLOB NOT NULL,
    -- Devices that nobody vouched for and the user has not accepted, 16 bytes each.
    loud BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE names (
    user BLOB PRIMARY KEY CHECK (length(user) = 16),
    username TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE prekeys (
    -- The type of its signature.
    kind INTEGER NOT NULL,
    id INTEGER NOT NULL CHECK (id > 0),
    secret BLOB NOT NULL,
    public BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    uploaded INTEGER NOT NULL DEFAULT 0,
    -- When another key took its place.
    retired_ms INTEGER,
    PRIMARY KEY (kind, id)
) STRICT;

CREATE TABLE sessions (
    user BLOB NOT NULL CHECK (length(user) = 16),
    device BLOB NOT NULL CHECK (length(device) = 16),
    sid BLOB NOT NULL CHECK (length(sid) = 8),
    -- NULL: retired, and remembered so that its handshake is refused.
    ratchet BLOB,
    -- The own signed prekey that it was answered with, if the other device began it.
    answered_spk INTEGER,
    PRIMARY KEY (user, device, sid)
) STRICT;

-- Which of the sessions with a device sends, and what is to be done about the others.
CREATE TABLE books (
    user BLOB NOT NULL CHECK (length(user) = 16),
    device BLOB NOT NULL CHECK (length(device) = 16),
    book BLOB NOT NULL,
    -- A repair or a reply is due although no message may wait.
    attention INTEGER NOT NULL,
    PRIMARY KEY (user, device)
) STRICT;
