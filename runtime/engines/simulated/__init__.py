"""vLLM's scheduler and prefix cache on any clock, with step times fitted to real runs. Imports the protocol."""
