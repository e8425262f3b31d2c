-- Devices that named an older version of the own list than the newest, and were sent what follows it.
CREATE TABLE chains_sent (
    user BLOB NOT NULL CHECK (length(user) = 16),
    device BLOB NOT NULL CHECK (length(device) = 16),
    -- The newest version then.
    newest INTEGER NOT NULL,
    -- The last one that was sent.
    upto INTEGER NOT NULL,
    PRIMARY KEY (user, device)
) STRICT, WITHOUT ROWID;
