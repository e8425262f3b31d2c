-- Where a device is woken: the token that its app got from a push provider. It goes with the device.

CREATE TABLE push_targets (
    user_id   BLOB    NOT NULL,
    device_id BLOB    NOT NULL,
    provider  TEXT    NOT NULL CHECK (provider IN ('fcm', 'apns', 'webpush')),
    token     TEXT    NOT NULL CHECK (length(token) BETWEEN 1 AND 4096),
    set_ms    INTEGER NOT NULL,
    PRIMARY KEY (user_id, device_id),
    FOREIGN KEY (user_id, device_id) REFERENCES devices (user_id, device_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
