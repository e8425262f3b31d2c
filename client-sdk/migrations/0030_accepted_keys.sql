-- A device was accepted with its keys and by a list, and not whatever has its id. What was accepted before names neither: where another own
-- device says once more whom it has accepted, the rest waits to be.
DROP TABLE accepted_devices;
CREATE TABLE accepted_devices (
    user BLOB NOT NULL CHECK (length(user) = 16),
    device BLOB NOT NULL CHECK (length(device) = 16),
    signing_key BLOB NOT NULL CHECK (length(signing_key) = 32),
    list_version INTEGER NOT NULL,
    list_hash BLOB NOT NULL CHECK (length(list_hash) = 32),
    -- Up to this version the device on which it was had given lists up.
    floor INTEGER NOT NULL,
    PRIMARY KEY (user, device, signing_key, list_version, list_hash)
) STRICT, WITHOUT ROWID;

-- Version of the newest list whose place those of the pin took; up to it nobody vouches for anybody. 0: none.
ALTER TABLE pins ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;

-- Of which identity key the lists are that the relay shows; NULL: it has shown none, but says that there are no newer ones.
ALTER TABLE contradictions ADD COLUMN offered BLOB CHECK (length(offered) = 32);

-- Hash of the list that another own device has seen, and up to which version that one has given lists up.
ALTER TABLE contacts ADD COLUMN seen_hash BLOB CHECK (length(seen_hash) = 32);
ALTER TABLE contacts ADD COLUMN seen_floor INTEGER NOT NULL DEFAULT 0;
