"""Charges and receipts: settlement of a request, the ledger, its entries in the background, accounts and keys.

Imports `errors` alone, of ours; SQLAlchemy and Alembic only where books are migrated or administered, psycopg only for
PostgreSQL: what serves a request, and every simulation, runs on `sqlite3`.
"""
