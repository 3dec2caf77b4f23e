"""The bodies of requests to agents: what the gateway reads of them, within its limits; the rest goes on as it is."""

from typing import Any

from runtime.gateway.door.door import ASKS, EMBEDDINGS, Door
from runtime.gateway.openapi.parts import Schema, bid_schema
from runtime.gateway.requests.preferences import TIERS
from runtime.gateway.requests.splice import MAX_MEMBERS

_TEXT: Schema = {"type": "string"}
_TOKENS: Schema = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1}


def body_schema(door: Door, path: str, models: list[str]) -> Schema:
    """What is taken at a path.

    Args:
        door: whose limits and names count.
        path: one of those that agents serve.
        models: names that may be asked for there.
    """
    asks = ASKS.get(path, "messages")
    properties: dict[str, Any] = {
        "model": {"type": "string", "enum": models},
        asks: _asked(asks, door.limits.choices),
        "iemas": bid_schema(),
        "stream": _flag("whether the answer comes as events"),
        "stream_options": {
            "type": ["object", "null"],
            "properties": {"include_usage": _flag("whether the last event tells tokens and the receipt")},
            "maxProperties": MAX_MEMBERS,
        },
        "service_tier": {"type": ["string", "null"], "enum": [*dict.fromkeys([*TIERS, *door.defaults.tiers]), None]},
        "cache_salt": {"type": ["string", "null"], "description": "who may share cached prefixes"},
        "priority": {"enum": [None, 0], "description": "nothing that clients may choose"},
        **{name: {"type": "null", "description": "not taken here"} for name in door.refuse},
    }
    if path != EMBEDDINGS:
        properties |= _lengths(door)
    return {
        "type": "object",
        "properties": properties,
        "required": ["model", asks],
        "maxProperties": MAX_MEMBERS,
        "description": "members that are not listed go to the agent as they came",
    }


def _lengths(door: Door) -> dict[str, Schema]:
    limits = door.limits
    most = {"type": ["integer", "null"], "minimum": 1, "maximum": limits.max_tokens}
    if limits.default_max_tokens <= limits.max_tokens:
        most = {**most, "default": limits.default_max_tokens}
    choices = {"type": ["integer", "null"], "minimum": 1, "maximum": limits.choices}
    return {
        "max_tokens": {**most, "description": "the most tokens of an answer"},
        "max_completion_tokens": {**most, "description": "the same under another name; the larger counts"},
        "min_tokens": {"type": ["integer", "null"], "minimum": 0, "maximum": limits.max_tokens},
        "ignore_eos": _flag("whether each answer is as long as it may be"),
        "n": {**choices, "description": "answers to each prompt; times the prompts at most as many"},
        "best_of": {**choices, "description": "answers that are generated for each prompt, of which n are sent"},
    }


def _asked(asks: str, most: int) -> Schema:
    if asks == "messages":
        message = {"type": "object", "properties": {"role": _TEXT}, "required": ["role"]}
        return {"type": "array", "items": message, "minItems": 1}
    several = {"type": "array", "minItems": 1, **({"maxItems": most} if asks == "prompt" else {})}
    return {"anyOf": [_TEXT, _TOKENS, {**several, "items": _TEXT}, {**several, "items": _TOKENS}]}


def _flag(about: str) -> Schema:
    return {"type": ["boolean", "null"], "description": about}
