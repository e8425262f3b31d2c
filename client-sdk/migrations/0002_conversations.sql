CREATE TABLE conversations (
    conversation BLOB PRIMARY KEY CHECK (length(conversation) = 16),
    peer BLOB NOT NULL CHECK (length(peer) = 16),
    -- The highest seq up to which every row is stored.
    cursor INTEGER NOT NULL DEFAULT 0 CHECK (cursor >= 0),
    -- The last counter that this device has taken.
    counter INTEGER NOT NULL DEFAULT 0 CHECK (counter >= 0),
    -- Read by the user up to here.
    read INTEGER NOT NULL DEFAULT 0,
    -- The highest seq that a device of the peer has acknowledged, by the relay's word.
    delivered INTEGER NOT NULL DEFAULT 0,
    -- That the two were shown different conversations has been told.
    views_differ INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- The last sequenced counter of every sending device.
CREATE TABLE counters (
    conversation BLOB NOT NULL REFERENCES conversations,
    user BLOB NOT NULL,
    device BLOB NOT NULL,
    -- That a header named.
    shown INTEGER NOT NULL,
    -- Of a message that proved genuine.
    proven INTEGER NOT NULL,
    PRIMARY KEY (conversation, user, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE rows (
    conversation BLOB NOT NULL REFERENCES conversations,
    seq INTEGER NOT NULL CHECK (seq > 0),
    kind INTEGER NOT NULL,
    -- NULL only for a row that the relay never showed.
    env_hash BLOB CHECK (length(env_hash) = 32),
    content_key BLOB CHECK (length(content_key) = 32),
    -- The row as it came, of a row that is to be opened later.
    pending BLOB,
    -- Its place in its chain.
    chain BLOB,
    chain_index INTEGER,
    PRIMARY KEY (conversation, seq)
) STRICT;

CREATE INDEX pending_rows ON rows (conversation, seq) WHERE pending IS NOT NULL;

-- What the user is shown.
CREATE TABLE timeline (
    item INTEGER PRIMARY KEY,
    conversation BLOB NOT NULL REFERENCES conversations,
    -- The seq of its row; after all rows while it has none.
    place INTEGER NOT NULL,
    -- 1 message, 2 undecryptable, 3 gap, 4 changed keys.
    kind INTEGER NOT NULL,
    author BLOB,
    author_device BLOB,
    client_message_id BLOB,
    mine INTEGER NOT NULL DEFAULT 0,
    text TEXT NOT NULL DEFAULT '',
    sent_ms INTEGER NOT NULL DEFAULT 0,
    -- Own messages: 0 held, 1 in the outbox, 2 accepted, 3 failed.
    state INTEGER NOT NULL DEFAULT 0,
    -- Why it failed or cannot be shown.
    code TEXT NOT NULL DEFAULT '',
    UNIQUE (conversation, author, author_device, client_message_id)
) STRICT;

CREATE INDEX timeline_by_place ON timeline (conversation, place, item);
CREATE INDEX timeline_by_item ON timeline (conversation, item);
CREATE INDEX timeline_held ON timeline (conversation, item) WHERE mine = 1 AND state = 0;

CREATE TABLE outbox (
    conversation BLOB NOT NULL REFERENCES conversations,
    counter INTEGER NOT NULL CHECK (counter > 0),
    client_message_id BLOB NOT NULL CHECK (length(client_message_id) = 16),
    class INTEGER NOT NULL,
    -- The only device that it is for; NULL: for all.
    target BLOB,
    -- The encoded content, to be encrypted again if the device lists change.
    content BLOB NOT NULL,
    -- Its newest encryption must not be sent.
    stale INTEGER NOT NULL DEFAULT 0,
    -- Given up: the content is an empty one.
    given_up INTEGER NOT NULL DEFAULT 0,
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
    -- Of the empty content.
    given_up INTEGER NOT NULL,
    UNIQUE (conversation, env_hash),
    FOREIGN KEY (conversation, counter) REFERENCES outbox ON DELETE CASCADE
) STRICT;

CREATE INDEX envelopes_by_counter ON envelopes (conversation, counter, version);
