"""Which learned router answers best? Trains and tests routers on tables of answers. Imports `answers`, `routers`."""
