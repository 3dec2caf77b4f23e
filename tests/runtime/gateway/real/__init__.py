"""`iemas serve` over real vLLM servers, asked by the real `openai` client."""
