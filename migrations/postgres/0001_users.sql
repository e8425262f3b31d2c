-- Users, their device lists and their devices' prekeys: public keys only.

CREATE TABLE users (
    user_id  bytea NOT NULL PRIMARY KEY CHECK (octet_length(user_id) = 16),
    -- Compared byte by byte, whatever the locale of the database.
    username text COLLATE "C" NOT NULL UNIQUE
);

-- Every version is kept: clients check the chain.
CREATE TABLE device_lists (
    user_id bytea  NOT NULL REFERENCES users (user_id),
    version bigint NOT NULL CHECK (version > 0),
    signed  bytea  NOT NULL,
    PRIMARY KEY (user_id, version)
);

-- The devices of the newest version. Prekeys hang on them, so that removing a device forgets its prekeys.
CREATE TABLE devices (
    user_id     bytea NOT NULL REFERENCES users (user_id),
    device_id   bytea NOT NULL CHECK (octet_length(device_id) = 16),
    signing_key bytea NOT NULL CHECK (octet_length(signing_key) = 32),
    PRIMARY KEY (user_id, device_id)
);

CREATE TABLE prekeys (
    -- The order of arrival: a sequence never gives a number twice, so that the oldest stays the oldest.
    arrival    bigserial PRIMARY KEY,
    user_id    bytea     NOT NULL,
    device_id  bytea     NOT NULL,
    kind       smallint  NOT NULL CHECK (kind BETWEEN 4 AND 7),
    key_id     bigint    NOT NULL,
    expires_ms bigint    NOT NULL,
    signed     bytea     NOT NULL,
    UNIQUE (user_id, device_id, kind, key_id),
    FOREIGN KEY (user_id, device_id) REFERENCES devices (user_id, device_id) ON DELETE CASCADE
);

CREATE INDEX prekeys_by_arrival ON prekeys (user_id, device_id, kind, arrival);

-- A device has one signed prekey (4) and one last resort key (6).
CREATE UNIQUE INDEX prekeys_standing ON prekeys (user_id, device_id, kind) WHERE kind IN (4, 6);
