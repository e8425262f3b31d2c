-- Whom a person has blocked, under names that only who has the relay's password key can tell; and whom not any more, so that a device
-- that says late what was decided before changes nothing.

CREATE TABLE blocks (
    user_id    bytea   NOT NULL REFERENCES users (user_id),
    tag        bytea   NOT NULL CHECK (length(tag) = 8),
    blocked    boolean NOT NULL,
    -- By the clock of the device on which it was decided.
    decided_ms bigint  NOT NULL,
    PRIMARY KEY (user_id, tag)
);
