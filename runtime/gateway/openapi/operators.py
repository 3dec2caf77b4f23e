"""The document of the admin API: `GET /openapi.json` on its port."""

from typing import Any

from runtime.accounts.holders import NAME
from runtime.gateway.fleet.config import Bid
from runtime.gateway.openapi.parts import Schema, answered, document, operation

_MICROS: Schema = {"type": "integer", "description": "micro-units, a millionth of a credit"}
_TEXT: Schema = {"type": "string"}
_LIMIT: Schema = {"type": ["integer", "null"], "minimum": 0, "exclusiveMaximum": 1 << 60}
_REFUSED = (400, 401, 404, 405, 409, 503)


def operators_document(root: str, limits: tuple[str, ...], most_text: int) -> Schema:
    """What an operator may ask.

    Args:
        root: where all of it lies.
        limits: names of the limits that a key may have.
        most_text: characters of a name, a reference or a note.
    """
    text: Schema = {"type": "string", "minLength": 1, "maxLength": most_text}
    maybe = {**text, "type": ["string", "null"]}
    named: Schema = {"type": "string", "pattern": f"^{NAME.pattern}$"}
    bid: Schema = Bid.model_json_schema()
    counts = {name: {**_LIMIT, "minimum": int(name != "spend_day")} for name in limits}
    amount = {**_MICROS, "minimum": -(1 << 60), "maximum": 1 << 60}
    account = _all(
        name=_TEXT, balance=_MICROS, held=_MICROS, limit={"type": ["integer", "null"]}, preferences={"type": "object"}
    )
    key = _all(name=_TEXT, account=_TEXT, revoked={"type": "boolean"}, spent_today=_MICROS, limits={"type": "object"})
    line = _all(at_s={"type": "number"}, kind=_TEXT, request=_TEXT, amount=_MICROS, balance=_MICROS)
    balances = _all(accounts={"type": "object"}, held={"type": "object"}, requests={"type": "object"})
    one = [{"name": "name", "in": "path", "required": True, "schema": named}]
    of = [{"name": "account", "in": "query", "required": False, "schema": _TEXT}]
    made = _all(**key["properties"], key={"type": "string", "description": "told this once"})
    told = {
        f"{root}/balances": {"get": _get("balances", "Balances, what is held, how requests ended.", balances)},
        f"{root}/accounts": {
            "get": _get("accounts", "Accounts of bidders.", _list(account)),
            "post": _post(
                "make-account",
                "Make an account.",
                _body(("name",), name=named, limit=_LIMIT, preferences={"anyOf": [bid, {"type": "null"}]}),
                account,
            ),
        },
        f"{root}/accounts/{{name}}/statement": {
            "get": _get("statement", "What was moved to and from an account.", _list(line), parameters=one)
        },
        f"{root}/accounts/{{name}}/credit": {
            "post": _post(
                "credit",
                "Add to a balance, or take what is free of it; a reference is entered once.",
                _body(("amount",), amount=amount, reference=maybe, note=maybe),
                account,
                parameters=one,
            )
        },
        f"{root}/accounts/{{name}}/limit": {
            "post": _post(
                "limit", "Set what an account may owe.", _body(("limit",), limit=_LIMIT), account, parameters=one
            )
        },
        f"{root}/accounts/{{name}}/preferences": {
            "post": _post("prefer", "Set what requests are worth that do not say.", bid, account, parameters=one)
        },
        f"{root}/accounts/{{name}}/keys": {
            "post": _post(
                "make-key",
                "Make a key.",
                _body((), name={**named, "type": ["string", "null"]}, **counts),
                made,
                parameters=one,
            )
        },
        f"{root}/keys": {"get": _get("keys", "Keys, never what opens.", _list(key), parameters=of)},
        f"{root}/keys/{{name}}/revoke": {
            "post": _post("revoke", "Have a key open nothing any more.", {"type": "object"}, key, parameters=one)
        },
        "/openapi.json": {"get": _get("openapi", "This document.", {"type": "object"})},
    }
    return document("iemas admin", "Accounts, keys and balances.", told, keyed=True, scheme="the admin key")


def _get(name: str, about: str, schema: Schema, **more: Any) -> Schema:
    return operation(name, about, {"200": answered(schema, "it")}, (401, 404, 405, 409, 503), **more)


def _post(name: str, about: str, body: Schema, schema: Schema, **more: Any) -> Schema:
    asked = {"required": bool(body.get("required")), "content": {"application/json": {"schema": body}}}
    return operation(
        name, about, {"200": answered(schema, "as it is now")}, (*_REFUSED, 408, 413), requestBody=asked, **more
    )


def _body(required: tuple[str, ...], **properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": list(required)} if required else {}),
    }


def _list(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _all(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}
