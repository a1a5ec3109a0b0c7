"""Reports over the ledger: verification, exports and what regulations ask for."""
