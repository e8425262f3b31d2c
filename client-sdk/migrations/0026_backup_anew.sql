-- The key backup has begun anew: what is still read from the one before goes into it as well.
ALTER TABLE account ADD COLUMN backs_up_restored INTEGER NOT NULL DEFAULT 0;
