"""Pieces that both documents are made of: errors, amounts, what a request is worth, operations and their answers."""

from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from runtime.gateway.requests.preferences import FIGURES, most_of

Schema = dict[str, Any]

#: Why a request is not served, by status; the error's `code` says more.
PROBLEMS: Mapping[int, str] = {
    400: "the request, or its bid, is none",
    401: "no key, or one that nobody has",
    402: "worth less than serving it costs, to the bidder or to others",
    403: "without keys only this machine may look, under a name of this machine",
    404: "no such model, receipt or path",
    405: "another method than those of the path",
    408: "the body did not come in time",
    409: "the books refuse that",
    413: "the body has more bytes than are taken",
    415: "the body is not declared as plain JSON",
    429: "more than a limit allows; the message says which",
    431: "the headers have more bytes than are taken",
    502: "an engine failed; nothing is charged",
    503: "nobody has room or can be reached, or the books cannot be used",
    504: "the request's own deadline, or the operator's, has passed",
}
#: Of any operation, before what it does is looked at.
_ALWAYS = (403, 431)

AMOUNT: Schema = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,6})?$", "description": "credits, exactly"}


def problem_schema() -> Schema:
    """OpenAI's error, as `Problem.body` writes it; an agent's own may have a number as its code, or none."""
    text, maybe = {"type": "string"}, {"type": ["string", "null"]}
    error = {
        "type": "object",
        "properties": {"message": text, "type": text, "param": maybe, "code": {"type": ["string", "integer", "null"]}},
        "required": ["message", "type", "param", "code"],
    }
    return {"type": "object", "properties": {"error": error}, "required": ["error"]}


def figure(name: str) -> Schema:
    """One figure of a bid: a number within what money can say."""
    bound = {"exclusiveMinimum": 0} if name == "deadline_s" else {"minimum": 0}
    most = most_of(name)
    return {
        "type": ["number", "null"],
        **bound,
        **({} if most is None else {"maximum": most}),
        "description": FIGURES[name],
    }


def bid_schema() -> Schema:
    """The body's member `iemas`."""
    return {
        "type": ["object", "null"],
        "properties": {name: figure(name) for name in FIGURES},
        "additionalProperties": False,
        "description": "what the request is worth; worth and stake together are bounded as worth is",
    }


def answered(schema: Schema, told: str, **more: Any) -> Schema:
    """A response with a JSON body."""
    return {"description": told, "content": {"application/json": {"schema": schema}}, **more}


def operation(name: str, about: str, answers: Mapping[str, Schema], problems: Iterable[int], **more: Any) -> Schema:
    """An operation with its answers and what may be wrong.

    Args:
        name: its id.
        about: a line on what it does.
        answers: what it gives, by status.
        problems: statuses of `PROBLEMS` that it may have, beside those that all have.
        more: `parameters`, `requestBody`.
    """
    refused = {str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted({*problems, *_ALWAYS})}
    return {"operationId": name, "summary": about, **more, "responses": {**answers, **refused}}


def document(title: str, about: str, paths: Schema, *, keyed: bool, scheme: str) -> Schema:
    """A whole document.

    Args:
        title, about: of the service.
        paths: its operations.
        keyed: whether a key is asked for, but where an operation says `security: []`.
        scheme: what that key is.
    """
    try:
        release = version("iemas")
    except PackageNotFoundError:
        release = "unknown"
    told: Schema = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": release, "description": about},
        "paths": paths,
        "components": {
            "schemas": {"Problem": problem_schema()},
            "responses": {
                str(status): answered({"$ref": "#/components/schemas/Problem"}, why) for status, why in PROBLEMS.items()
            },
        },
    }
    if keyed:
        told["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": scheme}}
        told["security"] = [{"key": []}]
    return told
