-- Devices keep what signs lists and seals the backup. What the vault alone is to hold lies apart, and only for a while.
CREATE TABLE account_with_backup (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    user BLOB NOT NULL CHECK (length(user) = 16),
    device BLOB NOT NULL CHECK (length(device) = 16),
    username TEXT NOT NULL,
    registered INTEGER NOT NULL DEFAULT 0,
    list_signing_key BLOB NOT NULL CHECK (length(list_signing_key) = 32),
    device_signing_key BLOB NOT NULL CHECK (length(device_signing_key) = 32),
    device_identity_key BLOB NOT NULL CHECK (length(device_identity_key) = 32),
    -- The backup that this device seals for; 0: none.
    backup_version INTEGER NOT NULL DEFAULT 0,
    backup_public_key BLOB,
    backup_shared_key BLOB CHECK (length(backup_shared_key) = 32),
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

-- One row from the making of the account until the relay has the vault and the person has the recovery key.
CREATE TABLE unsettled (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- NULL once the relay has the vault.
    identity_key BLOB CHECK (length(identity_key) = 32),
    -- The same.
    backup_key BLOB CHECK (length(backup_key) = 32),
    -- NULL once the person has written it down.
    recovery_key BLOB CHECK (length(recovery_key) = 20)
) STRICT;

-- An account of before has no vault yet: its identity key waits for one.
INSERT INTO unsettled (id, identity_key) SELECT id, identity_key FROM account;

INSERT INTO account_with_backup (id, user, device, username, registered, list_signing_key, device_signing_key, device_identity_key,
    next_prekey, replace_prekeys, last_rollback_ms, recovering, stopped)
SELECT id, user, device, username, registered, list_signing_key, device_signing_key, device_identity_key,
    next_prekey, replace_prekeys, last_rollback_ms, recovering, stopped
FROM account;

DROP TABLE account;
ALTER TABLE account_with_backup RENAME TO account;
