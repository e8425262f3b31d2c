-- Where the operator may reach people, and whom the operator has locked out for a while.

CREATE TABLE emails (
    user_id bytea NOT NULL PRIMARY KEY REFERENCES users (user_id),
    address text  NOT NULL,
    -- What it is compared by, byte by byte: in small letters.
    folded  text COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE disabled_users (
    user_id  bytea  NOT NULL PRIMARY KEY REFERENCES users (user_id),
    since_ms bigint NOT NULL
);
