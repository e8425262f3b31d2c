-- Accounts that are gone by the relay's word: people, and perhaps the own one.

CREATE TABLE deleted (user BLOB NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
