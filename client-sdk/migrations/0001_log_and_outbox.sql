CREATE TABLE conversations (
    conversation BLOB PRIMARY KEY CHECK (length(conversation) = 16),
    -- The highest seq up to which every row is stored.
    cursor INTEGER NOT NULL DEFAULT 0 CHECK (cursor >= 0),
    -- The last counter that this device has taken.
    counter INTEGER NOT NULL DEFAULT 0 CHECK (counter >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE rows (
    conversation BLOB NOT NULL REFERENCES conversations,
    seq INTEGER NOT NULL CHECK (seq > 0),
    kind INTEGER NOT NULL,
    -- NULL only for a row that the relay never showed.
    env_hash BLOB CHECK (length(env_hash) = 32),
    body BLOB NOT NULL,
    PRIMARY KEY (conversation, seq)
) STRICT;

CREATE TABLE outbox (
    conversation BLOB NOT NULL REFERENCES conversations,
    counter INTEGER NOT NULL CHECK (counter > 0),
    client_message_id BLOB NOT NULL CHECK (length(client_message_id) = 16),
    PRIMARY KEY (conversation, counter),
    UNIQUE (conversation, client_message_id)
) STRICT;

-- Every encryption of a counter, kept until a row names one of them.
CREATE TABLE envelopes (
    version INTEGER PRIMARY KEY,
    conversation BLOB NOT NULL,
    counter INTEGER NOT NULL,
    env_hash BLOB NOT NULL CHECK (length(env_hash) = 32),
    envelope BLOB NOT NULL,
    UNIQUE (conversation, env_hash),
    FOREIGN KEY (conversation, counter) REFERENCES outbox ON DELETE CASCADE
) STRICT;

CREATE INDEX envelopes_by_counter ON envelopes (conversation, counter, version);
