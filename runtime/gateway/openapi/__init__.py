"""What the gateway serves, as OpenAPI 3.1 has it: made from the limits, names and checks that requests meet."""
