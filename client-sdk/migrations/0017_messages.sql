-- What is said of messages: answers, edits, reactions, erasures; how long they last; what is not sent yet.

-- The message that this one answers.
ALTER TABLE timeline ADD COLUMN reply_author BLOB;
ALTER TABLE timeline ADD COLUMN reply_device BLOB;
ALTER TABLE timeline ADD COLUMN reply_message BLOB;
-- What it said before its first edit; NULL: it has none.
ALTER TABLE timeline ADD COLUMN original TEXT;
-- Seconds that it lasts, 0: for ever; and when it ends, once that is known.
ALTER TABLE timeline ADD COLUMN timer_s INTEGER NOT NULL DEFAULT 0;
ALTER TABLE timeline ADD COLUMN expires_ms INTEGER;

CREATE INDEX timeline_by_name ON timeline (conversation, client_message_id) WHERE client_message_id IS NOT NULL;
CREATE INDEX timeline_answers ON timeline (conversation, reply_message) WHERE reply_message IS NOT NULL;
CREATE INDEX timeline_expires ON timeline (expires_ms) WHERE expires_ms IS NOT NULL;
CREATE INDEX timeline_unread_timers ON timeline (conversation, place) 
    WHERE timer_s > 0 AND expires_ms IS NULL AND mine = 0 AND kind = 1;
-- Kind 6: how long messages last from there on.
CREATE INDEX timeline_timers ON timeline (conversation, place, item) WHERE kind = 6;

-- Each is a message of its own, and shows in the one that it is of.
CREATE TABLE changes (
    change INTEGER PRIMARY KEY,
    conversation BLOB NOT NULL REFERENCES conversations,
    -- The seq of its row; after all rows while it has none.
    place INTEGER NOT NULL,
    -- 1 edit, 2 reaction, 3 erasure (own ones).
    kind INTEGER NOT NULL,
    author BLOB NOT NULL CHECK (length(author) = 16),
    author_device BLOB NOT NULL CHECK (length(author_device) = 16),
    client_message_id BLOB NOT NULL CHECK (length(client_message_id) = 16),
    -- Of which message. It may come later.
    of_author BLOB NOT NULL CHECK (length(of_author) = 16),
    of_device BLOB NOT NULL CHECK (length(of_device) = 16),
    of_message BLOB NOT NULL CHECK (length(of_message) = 16),
    -- The new text, the reaction (empty: none), or the rows to be erased.
    text TEXT NOT NULL,
    sent_ms INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    -- Own ones: 0 held, 1 in the outbox, 2 accepted, 3 failed.
    state INTEGER NOT NULL,
    UNIQUE (conversation, author, author_device, client_message_id)
) STRICT;

CREATE INDEX changes_of ON changes (conversation, of_message, of_author, of_device, kind, author, place, change);
CREATE INDEX changes_by_place ON changes (conversation, place);
CREATE INDEX changes_held ON changes (conversation, change) WHERE state = 0;

-- What the user has begun to write.
ALTER TABLE conversations ADD COLUMN draft TEXT NOT NULL DEFAULT '';
