-- When the account's devices are to be woken next for the reset that waits; NULL: at once. Where none waits it says nothing.
ALTER TABLE users ADD COLUMN reset_wake_ms bigint;

-- Few wait at a time, and they are looked for every minute.
CREATE INDEX users_resets ON users (reset_ms) WHERE reset_ms IS NOT NULL;
