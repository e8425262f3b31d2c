-- From when on another identity key may be given to an account by who knows the password alone; NULL where nobody has asked for it.
ALTER TABLE users ADD COLUMN reset_ms INTEGER;
