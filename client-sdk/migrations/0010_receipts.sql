-- Read receipts.

-- The other person has read up to here, by their own word.
ALTER TABLE conversations ADD COLUMN read_by_peer INTEGER NOT NULL DEFAULT 0;
-- They were told that this one has been read up to here.
ALTER TABLE conversations ADD COLUMN receipt INTEGER NOT NULL DEFAULT 0;
-- Of what was read before there were any, nobody is told.
UPDATE conversations SET receipt = read;
