"""From a request to its answer: admission, rounds, lines and dispatch, health. Imports `policies` and `accounts`."""
