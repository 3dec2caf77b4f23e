"""Several rounds with a memory: may a misreport buy tomorrow's cache? Imports `evidence`, and `prediction` once."""
