-- Messages of the other person that could not be read because of a session: their device may still give the keys.
CREATE TABLE late_rows (
    conversation BLOB NOT NULL REFERENCES conversations,
    seq INTEGER NOT NULL,
    -- The device that sent it, and what it calls it.
    device BLOB NOT NULL CHECK (length(device) = 16),
    client_message_id BLOB NOT NULL CHECK (length(client_message_id) = 16),
    came_ms INTEGER NOT NULL,
    -- When its device was asked last.
    asked_ms INTEGER,
    -- CK, as its device says.
    content_key BLOB CHECK (length(content_key) = 32),
    PRIMARY KEY (conversation, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX late_rows_with_key ON late_rows (conversation, seq) WHERE content_key IS NOT NULL;

-- Of own messages: the version of the other person's device list that they were encrypted for.
ALTER TABLE rows ADD COLUMN recipient_list INTEGER;
