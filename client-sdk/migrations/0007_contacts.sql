-- What the person has decided about others, and what their other devices have seen of them.
CREATE TABLE contacts (
    user BLOB PRIMARY KEY CHECK (length(user) = 16),
    -- Their identity key as the person has compared it; NULL: not, or not any more.
    verified BLOB CHECK (length(verified) = 32),
    -- Their messages are not shown.
    blocked INTEGER NOT NULL DEFAULT 0,
    -- When that was decided, by the clock of the device on which it was; 0: never.
    decided_ms INTEGER NOT NULL DEFAULT 0,
    -- Identity key and version of the list that another own device has seen: for the first list that this one sees.
    seen_key BLOB CHECK (length(seen_key) = 32),
    seen_version INTEGER,
    -- Their devices that another own device does not hold back, 16 bytes each: for that first list, too.
    accepted BLOB
) STRICT, WITHOUT ROWID;
