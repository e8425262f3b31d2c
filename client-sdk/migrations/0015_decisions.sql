-- What was decided about a person has its time, each part its own; and what devices owe each other is asked for until it comes.

ALTER TABLE contacts RENAME COLUMN decided_ms TO verified_ms;
-- As `verified_ms` says when `verified` was decided.
ALTER TABLE contacts ADD COLUMN blocked_ms INTEGER NOT NULL DEFAULT 0;
UPDATE contacts SET blocked_ms = verified_ms;

-- Devices of others that the person has accepted, here or on another own device, by the newest list of theirs that this one had seen.
-- Also those that no list names here yet.
CREATE TABLE accepted_devices (
    user BLOB NOT NULL CHECK (length(user) = 16),
    device BLOB NOT NULL CHECK (length(device) = 16),
    list_version INTEGER NOT NULL,
    PRIMARY KEY (user, device)
) STRICT, WITHOUT ROWID;
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9)
INSERT INTO accepted_devices
    SELECT user, substr(accepted, 16 * i + 1, 16), coalesce(seen_version, 0) FROM contacts, n
    WHERE length(accepted) >= 16 * (i + 1);
ALTER TABLE contacts DROP COLUMN accepted;

-- Own devices that this one, as it came, has asked what they know, and that have not answered.
CREATE TABLE greeted (
    device BLOB PRIMARY KEY CHECK (length(device) = 16),
    -- When it was last asked; NULL: it could not be yet.
    asked_ms INTEGER,
    -- How often.
    asked INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- What a device that was linked has been sent stays noted until it has all: so that a second look finds what came since, whatever
-- its age and wherever it came from.
ALTER TABLE history_owed ADD COLUMN sent INTEGER NOT NULL DEFAULT 0;
DELETE FROM history_owed WHERE EXISTS (
    SELECT 1 FROM history_owed o WHERE o.device = history_owed.device AND o.conversation = history_owed.conversation
        AND o.seq = history_owed.seq AND o.place < history_owed.place
);
CREATE UNIQUE INDEX history_owed_once ON history_owed (device, conversation, seq);
CREATE INDEX history_owed_next ON history_owed (device, place) WHERE sent = 0;

-- Of what is not shown, because its author was blocked as it came, no key is kept.
UPDATE rows SET content_key = NULL WHERE kind = 1 AND content_key IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM timeline t WHERE t.conversation = rows.conversation AND t.place = rows.seq AND t.kind IN (1, 6)
) AND NOT EXISTS (SELECT 1 FROM changes c WHERE c.conversation = rows.conversation AND c.place = rows.seq);
