-- Accounts that are gone. Of a user only id and name stay, which nobody else gets, and the lists by which others check what was written.

-- When; NULL where the account is there.
ALTER TABLE users ADD COLUMN deleted_ms INTEGER;

-- All versions, as they were in device_lists.
CREATE TABLE deleted_lists (
    user_id BLOB    NOT NULL REFERENCES users (id),
    version INTEGER NOT NULL CHECK (version > 0),
    signed  BLOB    NOT NULL,
    PRIMARY KEY (user_id, version)
) STRICT, WITHOUT ROWID;
