"""Beyond any grid: searches that refute or do not know. Imports `evidence`, `properties`."""
