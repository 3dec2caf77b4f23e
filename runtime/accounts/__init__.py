"""Charges and receipts: settlement of a request, the ledger. Imports `errors` alone of this room."""
