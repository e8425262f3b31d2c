-- What is not read yet is counted whenever the list of conversations is shown.
CREATE INDEX timeline_of_others ON timeline (conversation, place) WHERE kind = 1 AND mine = 0;
