"""Any server that speaks OpenAI's API: its connections, what its refusals mean, its answers, the engine."""
