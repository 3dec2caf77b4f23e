"""Real vLLM servers: launched here, or by URL. Imports the protocol and `models`."""
