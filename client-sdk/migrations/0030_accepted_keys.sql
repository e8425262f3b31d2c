-- A device was accepted with its keys, and not whatever has its id. What was accepted before names none: it waits once more where a list
-- comes that is the first one.
DROP TABLE accepted_devices;
CREATE TABLE accepted_devices (
    user BLOB NOT NULL CHECK (length(user) = 16),
    device BLOB NOT NULL CHECK (length(device) = 16),
    signing_key BLOB NOT NULL CHECK (length(signing_key) = 32),
    list_version INTEGER NOT NULL,
    PRIMARY KEY (user, device, signing_key)
) STRICT, WITHOUT ROWID;

-- Version of the newest list whose place those of the pin took; up to it nobody vouches for anybody. 0: none.
ALTER TABLE pins ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;
