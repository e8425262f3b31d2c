-- The key backup: content keys, sealed by the devices in batches that the relay cannot open.

-- A chain for each version and device. The last batch of a chain is replaced until it is full.
CREATE TABLE key_backups (
    user_id   BLOB    NOT NULL REFERENCES users (id),
    version   INTEGER NOT NULL,
    device_id BLOB    NOT NULL,
    -- From 1, dense.
    number    INTEGER NOT NULL,
    batch     BLOB    NOT NULL,
    PRIMARY KEY (user_id, version, device_id, number)
) STRICT;

-- Where each chain ends: its last batch, and what that names as the one before.
CREATE TABLE key_backup_ends (
    user_id   BLOB    NOT NULL REFERENCES users (id),
    version   INTEGER NOT NULL,
    device_id BLOB    NOT NULL,
    number    INTEGER NOT NULL,
    hash      BLOB    NOT NULL,
    previous  BLOB    NOT NULL,
    PRIMARY KEY (user_id, version, device_id)
) STRICT, WITHOUT ROWID;

-- Versions up to this one take no more.
ALTER TABLE users ADD COLUMN backups_closed INTEGER NOT NULL DEFAULT 0;
