-- When what the relay was told of a person, that they are blocked or not any more, was decided; 0: it was told nothing.
ALTER TABLE contacts ADD COLUMN block_told_ms INTEGER NOT NULL DEFAULT 0;
-- And when it was told.
ALTER TABLE contacts ADD COLUMN block_told_at_ms INTEGER NOT NULL DEFAULT 0;
