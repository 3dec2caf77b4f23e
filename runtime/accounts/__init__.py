"""Charges and receipts: settlement of a request, the ledger, its entries in the background. Imports `errors` alone."""
