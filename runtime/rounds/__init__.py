"""The round loop and its records. Imports `policies` and `accounts`."""
