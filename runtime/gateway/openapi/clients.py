"""The document of the clients' port: `GET /openapi.json`."""

from collections.abc import Iterable
from typing import Any

from runtime.gateway.door.door import EMBEDDINGS, SERVED, Door
from runtime.gateway.openapi.parts import AMOUNT, PROBLEMS, Schema, answered, bid_schema, document, operation
from runtime.gateway.openapi.requests import body_schema
from runtime.gateway.problems import Problem
from runtime.gateway.requests.preferences import FIGURES, header_of

#: Where this document lies.
OPENAPI = "/openapi.json"
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TEXT: Schema = {"type": "string"}
_REFUSAL = "what the agent itself refuses goes on in its own words and with its own status"
_ASKED = (400, 401, 404, 405, 408, 413, 415, 429, 503)
_SERVED = (402, 502, 504)
_ABOUT = {
    "/v1/chat/completions": "Have a conversation continued by whoever is worth it.",
    "/v1/completions": "Have a prompt continued.",
    EMBEDDINGS: "Have texts embedded.",
}


def clients_document(door: Door, *, keyed: bool, shown: Iterable[str] = (), free: Iterable[str] = ()) -> Schema:
    """What clients may ask of a gateway.

    Args:
        door: whose names and limits count.
        keyed: whether a key is asked for.
        shown: paths of what an operator may watch, each read with GET.
        free: those of them that need no key.
    """
    paths: Schema = {}
    for path in SERVED:
        models = _models(door, path)
        if models:
            paths[path] = {"post": _asking(door, path, models)}
    paths |= {
        "/v1/models": {"get": _reading("models", "Models and pools.", _listing())},
        "/v1/models/{name}": {
            "get": _reading("model", "One of them.", _card(), (404,), parameters=[_in_path("name", door.models.agents)])
        },
        "/iemas/v1/defaults": {
            "get": _reading("defaults", "What a request is worth of which nobody says it.", _defaults())
        },
        "/iemas/v1/receipts/{id}": {
            "get": _reading(
                "receipt", "What a request of yours came to.", _receipt(), (404,), parameters=[_in_path("id")]
            )
        },
        OPENAPI: {"get": _reading("openapi", "This document.", {"type": "object"})},
        "/health": {"get": _free("health", "Whether the process lives.", (200,))},
        "/ready": {"get": _free("ready", "Whether anybody could be served.", (200, 503))},
    }
    unlocked = set(free)
    for path in sorted(shown):
        told = operation("shows " + path, "For an operator to watch.", {"200": _any()}, (401, 405, 503))
        paths[path] = {"get": told | ({"security": []} if path in unlocked else {})}
    about = "An auction behind OpenAI's API: what a request is worth decides who serves it, and what it costs."
    return document("iemas", about, paths, keyed=keyed, scheme="a client's key")


def _models(door: Door, path: str) -> list[str]:
    """Names behind which there is an agent for what is asked at a path."""
    found = []
    for name in door.models.agents:
        try:
            door.models.resolve(name, "embed" if path == EMBEDDINGS else "generate")
        except Problem:
            continue
        found.append(name)
    return found


def _asking(door: Door, path: str, models: list[str]) -> Schema:
    schema: Schema = {"type": "object", "properties": {"iemas": _told()}}
    headers = {
        "x-request-id": {"schema": _TEXT, "required": True},
        "x-iemas-agent": {"schema": _TEXT, "required": True},
        "x-iemas-model": {"schema": _TEXT, "required": True},
        "x-iemas-round": {"schema": {"type": "string", "pattern": "^[0-9]+$"}, "required": True},
        "x-iemas-price": {"schema": AMOUNT, "required": True},
    }
    content = {
        "application/json": {"schema": schema},
        "text/event-stream": {"schema": {"description": "events, as the agent sent them"}},
    }
    served = {
        "description": f"the agent's own bytes, and a receipt; {_REFUSAL}",
        "headers": headers,
        "content": content,
    }
    body = {"required": True, "content": {"application/json": {"schema": body_schema(door, path, models)}}}
    name = path.rpartition("/v1/")[2].replace("/", "-")
    return operation(name, _ABOUT[path], {"200": served}, (*_ASKED, *_SERVED), requestBody=body, parameters=_headers())


def _headers() -> list[Schema]:
    return [
        {
            "name": header_of(name),
            "in": "header",
            "required": False,
            "description": f"{FIGURES[name]}, where `iemas` does not say it",
            "schema": {**schema, "type": "number"},
        }
        for name, schema in bid_schema()["properties"].items()
    ]


def _reading(name: str, about: str, schema: Schema, problems: tuple[int, ...] = (), **more: Any) -> Schema:
    return operation(name, about, {"200": answered(schema, "it")}, (401, 405, *problems), **more)


def _free(name: str, about: str, statuses: tuple[int, ...]) -> Schema:
    state = {"type": "object", "properties": {"status": {"enum": ["ok", "not ready"]}}, "required": ["status"]}
    answers = {str(status): answered(state, "it is" if status == 200 else PROBLEMS[status]) for status in statuses}
    return operation(name, about, answers, (405,), security=[])


def _any() -> Schema:
    kinds = ("text/html", "text/javascript", "text/css", "text/plain", "text/event-stream")
    return {"description": "it", "content": {kind: {"schema": _TEXT} for kind in kinds}}


def _in_path(name: str, known: Iterable[str] = ()) -> Schema:
    schema = {"type": "string", "minLength": 1} | ({"examples": [*known]} if known else {})
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _card() -> Schema:
    own = _all(kind={"enum": ["model", "pool"]}, agents=_COUNT)
    return _all(id=_TEXT, object={"const": "model"}, created=_COUNT, owned_by=_TEXT, iemas=own)


def _listing() -> Schema:
    return _all(object={"const": "list"}, data={"type": "array", "items": _card()})


def _defaults() -> Schema:
    figures = {"type": "object", "properties": {name: {"type": "number"} for name in FIGURES}}
    return _all(preferences=figures, service_tiers={"type": "object", "additionalProperties": figures})


def _told() -> Schema:
    """A receipt as it comes with an answer."""
    tokens = _all(prompt=_COUNT, cached=_COUNT, output=_COUNT)
    sources = {"enum": ["body", "header", "service_tier", "key", "operator"]}
    stated = {"type": "object", "additionalProperties": sources}
    told = _all(id=_TEXT, agent=_TEXT, model=_TEXT, round=_COUNT, price=AMOUNT, cost=AMOUNT, tokens=tokens)
    return {**told, "properties": {**told["properties"], "stated_by": stated}}


def _receipt() -> Schema:
    told = _told()["properties"]
    status = {"enum": ["served", "hung_up", "declined", "failed", "answering"]}
    proof = {"type": "object", "description": "what proves the price; docs/receipts.md"}
    properties = {**told, "status": status, "reason": _TEXT, "proof": proof}
    return {"type": "object", "properties": properties, "required": ["id", "price", "cost", "status"]}


def _all(**properties: Schema) -> Schema:
    """An object that has all of these."""
    return {"type": "object", "properties": properties, "required": list(properties)}
