#!/usr/bin/env python3
"""A whole vault and a batch of the backup, sealed without any of the project's code: `sealed.json`, which the project's tests
open.

Encapsulation draws randomness, so they are recorded: --write makes them anew, otherwise the vault is opened. Needs
`cryptography` 48.
"""

import json
import pathlib
import sys

from sordino import *

FILE = pathlib.Path(__file__).parent / "sealed.json"
USER, UIK, VAULT_KEY, KIND, VERSION = bytes([5] * 16), ed25519_public(bytes([1] * 32)), bytes([7] * 32), 1, 4
BOUND = vault_bound(USER, UIK, VERSION, 2)
BATCH_PLACE = (bytes([6] * 16), 3, bytes([7] * 32))
OPENER = opener(KIND, bytes(range(20)), USER)


def main():
    sealed = bytes.fromhex(json.loads((FILE.parent / "vault.json").read_text())["sealed"])
    if "--write" in sys.argv:
        encapsulated, wrapped = wrap_vault_key(KIND, xwing_public(OPENER[0]), OPENER[1], USER, VERSION, BOUND, VAULT_KEY)
        wrapped_key = proto((1, KIND), (2, encapsulated), (3, wrapped))
        vault = proto((1, VERSION), (2, 2), (3, sealed), (4, [wrapped_key]))
        entries = [(bytes([1] * 16), [(1, bytes([2] * 32), bytes([3] * 32)), (2, bytes([4] * 32), bytes([5] * 32))])]
        batch = seal_batch(xwing_public(bytes([1] * 32)), bytes([2] * 32), USER, 2, BATCH_PLACE, entries)
        recorded = {"vault": vault.hex(), "batch": batch.hex(), "batch_hash": batch_hash(batch).hex()}
        FILE.write_text(json.dumps(recorded, indent=2) + "\n")
    vault = read_proto(bytes.fromhex(json.loads(FILE.read_text())["vault"]))
    wrapped = read_proto(vault[4])
    key = unwrap_vault_key(KIND, OPENER, USER, VERSION, BOUND, wrapped[2], wrapped[3])
    assert key == VAULT_KEY and vault[3] == sealed
    unseal_vault(key, USER, VERSION, BOUND, vault[3])


if __name__ == "__main__":
    main()
