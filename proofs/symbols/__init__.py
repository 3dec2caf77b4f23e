"""A mechanism in symbols (linear conditions), and a proof as numbers. Imports `claims`."""
