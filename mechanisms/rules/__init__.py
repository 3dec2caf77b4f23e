"""Charges and receipts, given who serves whom: one rule or family a module. Imports `mechanisms` and `allocation`."""
