-- What the user has set for all devices of the account, each with the time at which it was; 0: never.
CREATE TABLE settings (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    receipts_off INTEGER NOT NULL DEFAULT 0,
    receipts_ms INTEGER NOT NULL DEFAULT 0,
    typing_off INTEGER NOT NULL DEFAULT 0,
    typing_ms INTEGER NOT NULL DEFAULT 0,
    -- 0 everyone, 1 people who are verified, 2 nobody.
    presence INTEGER NOT NULL DEFAULT 0,
    presence_ms INTEGER NOT NULL DEFAULT 0,
    display_name TEXT NOT NULL DEFAULT '',
    display_name_ms INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO settings (id) VALUES (1);

-- What a person calls themselves, and the row of their conversation that said so last.
ALTER TABLE contacts ADD COLUMN display_name TEXT NOT NULL DEFAULT '';
ALTER TABLE contacts ADD COLUMN display_name_seq INTEGER NOT NULL DEFAULT 0;
