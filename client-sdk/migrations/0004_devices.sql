-- What the person calls their devices.
CREATE TABLE device_names (
    device BLOB PRIMARY KEY CHECK (length(device) = 16),
    name TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Keys that are to be the account's: kept from before the relay is asked until a list names them, or comes to be without them.
-- Several, where an answer was lost and another attempt followed: which of them the relay took is not known before.
CREATE TABLE next_keys (
    list_signing_key BLOB PRIMARY KEY CHECK (length(list_signing_key) = 32),
    -- The list that is to name them.
    list_version INTEGER NOT NULL,
    backup_version INTEGER NOT NULL,
    backup_public_key BLOB,
    backup_shared_key BLOB CHECK (length(backup_shared_key) = 32),
    -- That opens the vault from then on, if it is another.
    recovery_key BLOB CHECK (length(recovery_key) = 20),
    -- What opens the vault from then on, as in the account.
    vault_by_password INTEGER NOT NULL,
    vault_recovery BLOB NOT NULL CHECK (length(vault_recovery) = 32)
) STRICT;

-- When the other devices were last asked for keys that this one lacks.
ALTER TABLE account ADD COLUMN asked_keys_ms INTEGER;

-- What opens the vault, as far as this device knows: whether the password does, which the relay could leave out of the vault; and
-- which recovery key, by its opener.
ALTER TABLE account ADD COLUMN vault_by_password INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN vault_recovery BLOB CHECK (length(vault_recovery) = 32);
