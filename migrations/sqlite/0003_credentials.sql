-- What a person opens a new device with. The relay can read neither.

-- OPAQUE's record of a password, made with the secrets that `seed` names.
CREATE TABLE passwords (
    user_id BLOB NOT NULL PRIMARY KEY REFERENCES users (id),
    seed    TEXT NOT NULL,
    record  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The vault of the newest list.
CREATE TABLE vaults (
    user_id BLOB NOT NULL PRIMARY KEY REFERENCES users (id),
    vault   BLOB NOT NULL
) STRICT;
