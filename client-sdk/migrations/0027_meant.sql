-- Of own messages: the other person's devices that they were encrypted for, 16 bytes each. Others get no key afterwards.
ALTER TABLE rows ADD COLUMN meant BLOB;
