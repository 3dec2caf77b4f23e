"""A whole grid: every profile run once (table, workers, checkpoint), menus, sweeps. Imports `evidence`."""
