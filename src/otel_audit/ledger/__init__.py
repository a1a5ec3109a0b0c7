"""The ledger: encoding, hash chain, Merkle tree, checkpoints and their verification. No I/O, no clock."""
