-- What a person opens a new device with. The relay can read neither.

-- OPAQUE's record of a password, made with the secrets that `seed` names.
CREATE TABLE passwords (
    user_id bytea NOT NULL PRIMARY KEY REFERENCES users (user_id),
    seed    text  NOT NULL,
    record  bytea NOT NULL
);

-- The vault of the newest list.
CREATE TABLE vaults (
    user_id bytea NOT NULL PRIMARY KEY REFERENCES users (user_id),
    vault   bytea NOT NULL
);
