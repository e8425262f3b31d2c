-- Accounts that are gone. Of a user only id and name stay, which nobody else gets, and the lists by which others check what was written.

-- When; NULL where the account is there.
ALTER TABLE users ADD COLUMN deleted_ms bigint;

-- All versions, as they were in device_lists. In a table of their own: a relay that knows nothing of deletion finds no list either.
CREATE TABLE deleted_lists (
    user_id bytea  NOT NULL REFERENCES users (user_id),
    version bigint NOT NULL CHECK (version > 0),
    signed  bytea  NOT NULL,
    PRIMARY KEY (user_id, version)
);
