-- People of whom the relay has shown device lists that contradict those that are held.
CREATE TABLE contradictions (
    user BLOB PRIMARY KEY CHECK (length(user) = 16),
    -- The user has compared the safety number since: what the relay shows next takes the place of what is held.
    is_compared INTEGER NOT NULL CHECK (is_compared IN (0, 1))
) STRICT, WITHOUT ROWID;
