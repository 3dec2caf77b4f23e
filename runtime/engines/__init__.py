"""What serves: the protocol, and its implementations, each importing those before it. Imports `models`, `errors`.

| part | question |
|---|---|
| `request`, `sse` | what is asked and what was measured; where an event ends |
| `chunks`, `call` | what an answer says; the call, its answer, `collect` |
| `engine` | the protocol |
| `simulated/`, `openai/`, `vllm/` | its implementations |
"""
