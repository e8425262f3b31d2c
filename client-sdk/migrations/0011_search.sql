-- Which words are in which messages.

-- When it came and its turn among those of the same millisecond: its number in the index, which is read from the highest down. So the
-- newest are found without a look at all the others.
ALTER TABLE timeline ADD COLUMN search_key INTEGER;
CREATE UNIQUE INDEX timeline_by_search_key ON timeline (search_key) WHERE search_key IS NOT NULL;

-- The words alone, as `search_words` cuts them: between its ASCII the tokenizer breaks where it put spaces, and nowhere else.
CREATE VIRTUAL TABLE search USING fts5 (words, content = '', columnsize = 0, tokenize = 'ascii');
-- What is taken out is gone then, and not only marked so.
INSERT INTO search (search, rank) VALUES ('secure-delete', 1);

-- Whoever writes to the timeline, the index follows. `SET text = text` puts a message into it.
CREATE TRIGGER timeline_search_insert AFTER INSERT ON timeline WHEN new.kind = 1 BEGIN
    UPDATE timeline SET text = text WHERE item = new.item;
END;

CREATE TRIGGER timeline_search_update AFTER UPDATE OF kind, text ON timeline BEGIN
    -- Not stored with it, the words are worked out again to be taken out.
    INSERT INTO search (search, rowid, words)
        SELECT 'delete', old.search_key, search_words(old.text) WHERE old.kind = 1 AND old.search_key IS NOT NULL;
    -- A clock beyond the year 2109 is cut. Of a million in one millisecond the rest is not found.
    UPDATE OR IGNORE timeline
        SET search_key = (
            SELECT coalesce(max(t.search_key) + 1, min(new.at_ms, 4398046511103) << 20) FROM timeline t
            WHERE t.search_key >= min(new.at_ms, 4398046511103) << 20
                AND t.search_key < (min(new.at_ms, 4398046511103) << 20) + 1048576
        )
        WHERE item = new.item AND search_key IS NULL AND kind = 1;
    INSERT INTO search (rowid, words)
        SELECT search_key, search_words(text) FROM timeline WHERE item = new.item AND kind = 1 AND search_key IS NOT NULL;
END;

CREATE TRIGGER timeline_search_delete AFTER DELETE ON timeline WHEN old.kind = 1 AND old.search_key IS NOT NULL BEGIN
    INSERT INTO search (search, rowid, words) VALUES ('delete', old.search_key, search_words(old.text));
END;

-- Messages of before up to this one are still to be put in, the newest first.
CREATE TABLE search_backlog (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    upto INTEGER NOT NULL
) STRICT;
INSERT INTO search_backlog SELECT 1, max(item) FROM timeline HAVING max(item) IS NOT NULL;
