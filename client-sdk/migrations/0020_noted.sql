-- The identity key of a person as a row of the conversation with oneself names it: there who has lost every device finds it again.
ALTER TABLE contacts ADD COLUMN noted_key BLOB CHECK (length(noted_key) = 32);
