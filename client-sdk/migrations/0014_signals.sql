-- When a person was last there, as far as a device of theirs has told this one; NULL: never.
ALTER TABLE contacts ADD COLUMN last_seen_ms INTEGER;
