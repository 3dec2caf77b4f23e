"""What does each agent hold? Prefixes that its KV cache is believed to keep. Imports `errors`."""
