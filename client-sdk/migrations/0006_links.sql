-- Devices that link others, and devices that were linked.

-- Those that this device has linked, until they have the keys of what was before them.
CREATE TABLE linked (
    device BLOB PRIMARY KEY CHECK (length(device) = 16),
    -- The list that names it first.
    list_version INTEGER NOT NULL,
    -- When it was last noted which keys it is to get; NULL until it has asked for them.
    noted_ms INTEGER,
    -- How often that was.
    noted INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- The keys that they are still to get, in this order.
CREATE TABLE history_owed (
    device BLOB NOT NULL REFERENCES linked ON DELETE CASCADE,
    place INTEGER NOT NULL,
    conversation BLOB NOT NULL CHECK (length(conversation) = 16),
    seq INTEGER NOT NULL,
    PRIMARY KEY (device, place)
) STRICT, WITHOUT ROWID;

-- The device that linked this one, until everything has come from it.
ALTER TABLE account ADD COLUMN linked_by BLOB CHECK (length(linked_by) = 16);
-- Keys that have come from it, and those that it says will; NULL before it has said.
ALTER TABLE account ADD COLUMN linked_keys INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN linked_keys_left INTEGER;
-- It has said that nothing follows.
ALTER TABLE account ADD COLUMN linked_keys_end INTEGER NOT NULL DEFAULT 0;
