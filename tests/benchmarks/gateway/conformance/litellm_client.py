"""What LiteLLM's client makes of a proxy, in the interpreter that has it: `litellm_client BASE KEY TAG`."""

import asyncio
import json
import sys
from typing import Any


def main(base: str, key: str, tag: str) -> None:
    import litellm

    turns = [{"role": "user", "content": f"#{tag}#"}]
    words = "".join(f"{tag}.0.{i} " for i in range(8))
    how: dict[str, Any] = {"model": "openai/fake", "api_base": f"{base}/v1", "api_key": key, "num_retries": 0}

    whole = litellm.completion(messages=turns, **how)
    assert whole.choices[0].message.content == words, whole
    pieces = list(litellm.completion(messages=turns, stream=True, **how))
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == words, pieces
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
    called = litellm.completion(messages=turns, tools=[tool], **how).choices[0].message.tool_calls[0]
    assert json.loads(called.function.arguments) == {"tag": tag}, called
    try:
        litellm.completion(messages=turns, **how | {"model": "openai/nobody"})
    except litellm.NotFoundError:
        pass
    else:
        raise AssertionError("an unknown model was served")

    async def streamed() -> str:
        stream = await litellm.acompletion(messages=turns, stream=True, **how)
        return "".join([piece.choices[0].delta.content or "" async for piece in stream])

    assert asyncio.run(streamed()) == words


if __name__ == "__main__":
    main(*sys.argv[1:])
