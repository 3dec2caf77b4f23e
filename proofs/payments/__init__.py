"""Which payments make an allocator truthful, and which mechanism is best on a grid? Imports `evidence`."""
