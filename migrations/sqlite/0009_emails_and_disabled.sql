-- Where the operator may reach people, and whom the operator has locked out for a while.

CREATE TABLE emails (
    user_id BLOB NOT NULL PRIMARY KEY REFERENCES users (id),
    address TEXT NOT NULL,
    -- What it is compared by: in small letters.
    folded  TEXT NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;

CREATE TABLE disabled_users (
    user_id  BLOB    NOT NULL PRIMARY KEY REFERENCES users (id),
    since_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
