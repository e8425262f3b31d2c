-- The key backup: content keys, sealed by the devices in batches that the relay cannot open.

-- A chain for each version and device. The last batch of a chain is replaced until it is full.
CREATE TABLE key_backups (
    user_id   bytea  NOT NULL REFERENCES users (user_id),
    version   bigint NOT NULL,
    device_id bytea  NOT NULL,
    -- From 1, dense.
    number    bigint NOT NULL,
    batch     bytea  NOT NULL,
    PRIMARY KEY (user_id, version, device_id, number)
);

-- Where each chain ends: its last batch, and what that names as the one before.
CREATE TABLE key_backup_ends (
    user_id   bytea  NOT NULL REFERENCES users (user_id),
    version   bigint NOT NULL,
    device_id bytea  NOT NULL,
    number    bigint NOT NULL,
    hash      bytea  NOT NULL,
    previous  bytea  NOT NULL,
    PRIMARY KEY (user_id, version, device_id)
);

-- Ciphertext does not compress.
ALTER TABLE key_backups ALTER COLUMN batch SET STORAGE EXTERNAL;

-- Versions up to this one take no more.
ALTER TABLE users ADD COLUMN backups_closed bigint NOT NULL DEFAULT 0;
