-- Who wrote first and was never answered asks to write: the user has not written to them, on any device that this one knows of.
ALTER TABLE conversations ADD COLUMN answered INTEGER NOT NULL DEFAULT 0;
UPDATE conversations SET answered = 1
    WHERE EXISTS (SELECT 1 FROM timeline t WHERE t.conversation = conversations.conversation AND t.mine = 1);
