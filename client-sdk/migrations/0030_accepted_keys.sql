-- A device was accepted with its keys and by a list, and not whatever has its id. What was accepted before names neither: it waits once more
-- where a list comes that is the first one.
DROP TABLE accepted_devices;
CREATE TABLE accepted_devices (
    user BLOB NOT NULL CHECK (length(user) = 16),
    device BLOB NOT NULL CHECK (length(device) = 16),
    signing_key BLOB NOT NULL CHECK (length(signing_key) = 32),
    list_version INTEGER NOT NULL,
    list_hash BLOB NOT NULL CHECK (length(list_hash) = 32),
    -- It was on this device, and by the lists that it goes by now.
    is_here INTEGER NOT NULL CHECK (is_here IN (0, 1)),
    PRIMARY KEY (user, device, signing_key, list_version, list_hash)
) STRICT, WITHOUT ROWID;

-- Version of the newest list whose place those of the pin took; up to it nobody vouches for anybody. 0: none.
ALTER TABLE pins ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;

-- Of which identity key the lists are that the relay shows; NULL: it has shown none, but says that there are no newer ones.
ALTER TABLE contradictions ADD COLUMN offered BLOB CHECK (length(offered) = 32);
