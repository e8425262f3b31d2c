-- An own device sent it, and not one of the other person's.
ALTER TABLE late_rows ADD COLUMN is_own INTEGER NOT NULL DEFAULT 0 CHECK (is_own IN (0, 1));

-- Of own messages: the version of the account's device list that they were sent by.
ALTER TABLE rows ADD COLUMN sender_list INTEGER;
