"""What was found, how small can it be made, does it happen again in a fresh process? Imports `scopes`, `symbols`."""
