"""All real values and every tie-break, by solvers. Imports `symbols`, `evidence`."""
