-- Where a device is woken: the token that its app got from a push provider. It goes with the device.

CREATE TABLE push_targets (
    user_id   bytea  NOT NULL,
    device_id bytea  NOT NULL,
    provider  text   NOT NULL CHECK (provider IN ('fcm', 'apns', 'webpush')),
    token     text   NOT NULL CHECK (octet_length(token) BETWEEN 1 AND 4096),
    set_ms    bigint NOT NULL,
    PRIMARY KEY (user_id, device_id),
    FOREIGN KEY (user_id, device_id) REFERENCES devices (user_id, device_id) ON DELETE CASCADE
);
