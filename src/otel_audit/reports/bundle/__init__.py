"""Evidence bundles: entries, texts and proofs in one zip that is checked without the ledger, and without us."""
