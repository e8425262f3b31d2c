-- The key backup: what of this device's rows is in it, and what is still to be read from it.

-- Of own messages, too: their keys go into the backup once they have their row.
ALTER TABLE envelopes ADD COLUMN content_key BLOB CHECK (length(content_key) = 32);

-- Of what devices said to each other no key was to be kept.
UPDATE rows SET content_key = NULL WHERE NOT EXISTS (
    SELECT 1 FROM timeline t WHERE t.conversation = rows.conversation AND t.place = rows.seq AND t.kind = 1
);

-- NULL: its key is in no batch. 0: another device has it in one. Else: in this batch of this device's.
ALTER TABLE rows ADD COLUMN batch INTEGER;
CREATE INDEX rows_to_back_up ON rows (conversation, seq) WHERE content_key IS NOT NULL AND batch IS NULL;
CREATE INDEX rows_by_batch ON rows (batch) WHERE batch > 0;

-- Where this device's chain ends.
CREATE TABLE backup_chain (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- Of the backup.
    version INTEGER NOT NULL,
    -- Of the last batch; 0: there is none.
    number INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    -- Of the batch before it.
    previous BLOB NOT NULL CHECK (length(previous) = 32),
    -- Keys in it. The last batch is replaced by a fuller one until it is full.
    entries INTEGER NOT NULL,
    -- What `rows.batch` says of them; never used twice.
    batch INTEGER NOT NULL,
    -- Else the last batch is one that this store does not know: the store is an old copy, or the relay has another.
    is_known INTEGER NOT NULL
) STRICT;

-- A batch from before the relay is asked to take it until it has: then the same bytes are sent again.
CREATE TABLE backup_upload (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL,
    number INTEGER NOT NULL,
    previous BLOB NOT NULL CHECK (length(previous) = 32),
    entries INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    bytes BLOB NOT NULL
) STRICT;

-- What opens the backup, from the vault: on a new device until it has read everything, and looked again for what came late.
CREATE TABLE restore_keys (
    version INTEGER PRIMARY KEY,
    backup_key BLOB NOT NULL CHECK (length(backup_key) = 32),
    shared_key BLOB NOT NULL CHECK (length(shared_key) = 32),
    -- Where the chains of a closed version end the vault has said; of the newest the relay is asked, in each pass.
    is_closed INTEGER NOT NULL,
    asked_in_pass INTEGER
) STRICT;

-- Chains that are being read, each from its end.
CREATE TABLE restore_chains (
    version INTEGER NOT NULL REFERENCES restore_keys,
    device BLOB NOT NULL CHECK (length(device) = 16),
    -- The next batch to be read, and its hash.
    number INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    -- Batches up to this one were read in a pass before.
    floor INTEGER NOT NULL DEFAULT 0,
    -- Batches of the chain.
    total INTEGER NOT NULL,
    -- The pass in which the relay did not give the next batch.
    broken_in_pass INTEGER,
    PRIMARY KEY (version, device)
) STRICT, WITHOUT ROWID;

-- Keys from the backup, until the rows are opened with them.
CREATE TABLE restored_keys (
    conversation BLOB NOT NULL CHECK (length(conversation) = 16),
    seq INTEGER NOT NULL CHECK (seq > 0),
    env_hash BLOB NOT NULL CHECK (length(env_hash) = 32),
    content_key BLOB NOT NULL CHECK (length(content_key) = 32),
    -- In this pass, in vain.
    tried INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation, seq)
) STRICT, WITHOUT ROWID;

-- Where the reading stands.
ALTER TABLE account ADD COLUMN restore_pass INTEGER NOT NULL DEFAULT 0;
-- When the next pass begins; NULL while one is under way.
ALTER TABLE account ADD COLUMN restore_next_ms INTEGER;
-- How many messages the backup has given back.
ALTER TABLE account ADD COLUMN restored INTEGER NOT NULL DEFAULT 0;

-- When it came or was written, by this device's clock; what comes from the backup, when it was written. Orders conversations.
ALTER TABLE timeline ADD COLUMN at_ms INTEGER NOT NULL DEFAULT 0;
UPDATE timeline SET at_ms = min(sent_ms, 1000 * unixepoch());
CREATE INDEX timeline_by_time ON timeline (conversation, at_ms);
