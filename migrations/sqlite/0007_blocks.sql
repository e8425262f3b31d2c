-- Whom a person has blocked, under names that only who has the relay's password key can tell; and whom not any more, so that a device
-- that says late what was decided before changes nothing.

CREATE TABLE blocks (
    user_id    BLOB    NOT NULL REFERENCES users (id),
    tag        BLOB    NOT NULL CHECK (length(tag) = 8),
    blocked    INTEGER NOT NULL,
    -- By the clock of the device on which it was decided.
    decided_ms INTEGER NOT NULL,
    PRIMARY KEY (user_id, tag)
) STRICT, WITHOUT ROWID;
