"""What a body asks, and which of its bytes go on: read once, spliced, never written anew.

Whoever re-serialises JSON turns an integer of 30 digits into 1.23e29 and 1.10 into 1.1. Here a body is validated whole
by orjson, the exact spans of its top-level members come from msgspec's raw values, and an engine gets the client's own
bytes but for three edits: the member `iemas` is cut out, a stream's usage is asked for, the model's name is replaced.
"""

import re
from base64 import b64encode
from bisect import insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import msgspec
import orjson

from runtime.gateway.problems import Problem, invalid, too_large

#: Nesting beyond this is refused: engines parse with stacks of their own.
MAX_DEPTH = 254
#: At the top, and in `stream_options`: more are nobody's request, and looking through a million takes seconds.
MAX_MEMBERS = 1000

_USAGE = b'"include_usage": true'
#: A key and what leads up to its value; then what may follow the value.
_KEY = re.compile(rb'[ \t\r\n]*("[^"\\]*(?:\\.[^"\\]*)*")[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_NEXT = re.compile(rb"[ \t\r\n]*([,}])")
_OPEN = re.compile(rb"[ \t\r\n]*\{")
_BRACKET = re.compile(rb'[\[\]{}]|"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_ODD_NUMBER = re.compile(rb"-?(?:NaN|Infinity)")
_RAWS: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Member:
    """Where a member of an object lies: its key from `key`, its value from `start` to before `end`, in bytes."""

    name: str
    key: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Body:
    """A client's request: what the gateway needs to know of it, and its bytes.

    Args:
        raw: the bytes as they came.
        members: the top-level members by name, in the body's order.
        model: the name that was asked for.
        stream: whether the answer is asked for as events.
        hides_usage: whether the client asked for no usage of its stream; the event that tells it is for us alone.
        n: how many answers to each prompt.
        generated: how many are generated for each, of which `n` are sent (`best_of`).
        prompts: how many prompts; 1 but for lists of prompts to /v1/completions.
        max_tokens: the bound on an answer's tokens, None where the client gives none.
        min_tokens: the least tokens of an answer that the client asks for.
        ignore_eos: whether every answer is to be as long as it may.
        priority: whether it asks to be put before others in an engine's queue.
        given: the members that are not null.
        cache_salt: who may share cached prefixes, None for everybody.
        has_tools: whether functions are offered.
        service_tier: as the client named it.
        iemas: what the request is worth, as the client stated it; unchecked.
        edits: spans of `raw` to be replaced for every engine.
        asks: the member that holds what is asked, where this is sent.

    Example:
        >>> body = read(b'{"model": "auto", "iemas": {"worth": 5}, "seed": 123456789012345678901234567890}')
        >>> body.model, body.iemas, body.bytes_for("tiny")
        ('auto', {'worth': 5}, b'{"model": "tiny", "seed": 123456789012345678901234567890}')
    """

    raw: bytes
    members: Mapping[str, Member]
    model: str
    stream: bool
    hides_usage: bool
    n: int
    generated: int
    prompts: int
    max_tokens: int | None
    min_tokens: int
    ignore_eos: bool
    priority: bool
    given: frozenset[str]
    cache_salt: str | None
    has_tools: bool
    service_tier: str | None
    iemas: object
    edits: tuple[tuple[int, int, bytes], ...]
    asks: str = "messages"

    @property
    def text(self) -> memoryview:
        """The bytes of what is asked, for hashes of prefixes; empty where there are none."""
        member = self.members.get(self.asks)
        return memoryview(b"") if member is None else memoryview(self.raw)[member.start : member.end]

    def bytes_for(self, model: str | None = None, max_tokens: int | None = None) -> bytes:
        """What an engine is sent, all but the edits byte for byte.

        Args:
            model: the engine's own name of the model.
            max_tokens: the operator's bound on an answer, for a client who gives none.
        """
        edits = list(self.edits)
        named = self.members["model"]
        if model is not None and model != self.model:
            insort(edits, (named.start, named.end, orjson.dumps(model)))
        if max_tokens is not None and self.max_tokens is None:
            given = self.members.get("max_tokens")
            if given is None:
                insort(edits, (named.end, named.end, b', "max_tokens": %d' % max_tokens))
            else:
                insort(edits, (given.start, given.end, b"%d" % max_tokens))
        return _spliced(self.raw, edits)


def salted(body: Body, account: str) -> Body:
    """The same request, whose cached prefixes nobody but its account shares: vLLM's `cache_salt`, one for each account.

    A salt of the client's own still keeps apart what they keep apart.

    Example:
        >>> body = salted(read(b'{"model": "auto", "messages": []}'), "alice")
        >>> body.bytes_for("m")[:27], body.cache_salt == salted(body, "bob").cache_salt
        (b'{"model": "m", "cache_salt"', False)
    """
    told = f"iemas\0{account}\0{body.cache_salt or ''}".encode("utf-8", "surrogatepass")
    salt = b64encode(sha256(told).digest()).decode()
    given = body.members.get("cache_salt")
    if given is not None:
        edit = (given.start, given.end, orjson.dumps(salt))
    else:
        end = body.members["model"].end
        edit = (end, end, b', "cache_salt": ' + orjson.dumps(salt))
    return replace(body, cache_salt=salt, edits=tuple(sorted([*body.edits, edit])))


def read(raw: bytes, *, limit: int | None = None, asks: str = "messages") -> Body:
    """Read a body once.

    Args:
        raw: the client's bytes.
        limit: the most bytes that are taken.
        asks: the member that holds what is asked: `messages`, `prompt` or `input`.

    Raises:
        Problem: 413 beyond `limit`; 400 for what is no JSON object, nests too deep, names a member twice at the top, in
            `iemas` or in `stream_options`, or holds a member that we read and that is of another kind.
    """
    if limit is not None and len(raw) > limit:
        raise too_large(limit)
    found = _parse(raw)
    options = found.get("stream_options")
    if len(found) > MAX_MEMBERS or (isinstance(options, dict) and len(options) > MAX_MEMBERS):
        raise invalid(f"the body names more than {MAX_MEMBERS} members; send fewer", code="too_many_members")
    members = {member.name: member for member in _members(raw)}
    if options is not None and not isinstance(options, dict):
        raise invalid(f"stream_options is a {_kind(options)}; send an object", "stream_options")
    _flag(options or {}, "include_usage", "stream_options.include_usage")
    if len(raw) > MAX_DEPTH and raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
        _check_depth(raw, found)
    if "iemas" in members and isinstance(found["iemas"], dict):
        _check_once(raw, members["iemas"])
    stream = _flag(found, "stream")
    edits = _cut(list(members.values()), "iemas") if "iemas" in members else []
    hides_usage = False
    if stream:
        wanted = _usage_edit(raw, members, found)
        hides_usage = wanted is not None
        edits = sorted([*edits, *(wanted or ())])
    counts = [_count(found, name) for name in ("max_completion_tokens", "max_tokens")]
    n = _count(found, "n") or 1
    return Body(
        raw=raw,
        members=members,
        model=_model(found),
        stream=stream,
        hides_usage=hides_usage,
        n=n,
        generated=max(n, _count(found, "best_of") or 1),
        prompts=_prompts(found.get("prompt")) if asks == "prompt" else 1,
        max_tokens=max((count for count in counts if count is not None), default=None),
        min_tokens=_count(found, "min_tokens", least=0) or 0,
        ignore_eos=_flag(found, "ignore_eos"),
        priority=found.get("priority") not in (None, 0),
        given=frozenset(name for name, value in found.items() if value is not None),
        cache_salt=_text(found, "cache_salt"),
        has_tools=bool(found.get("tools") or found.get("functions")),
        service_tier=_text(found, "service_tier"),
        iemas=found.get("iemas"),
        edits=tuple(edits),
        asks=asks,
    )


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _no_json(raw, error) from None
    if not isinstance(found, dict):
        raise invalid(f"the body is a JSON {_kind(found)}; send an object", code="invalid_json")
    return found


def _no_json(raw: bytes, error: orjson.JSONDecodeError) -> Problem:
    try:
        raw.decode()
    except UnicodeDecodeError as odd:
        message = f"the body is no UTF-8 at byte {odd.start} (0x{raw[odd.start]:02x}); send JSON as UTF-8"
        return invalid(message, code="invalid_json")
    at = len(error.doc[: error.pos].encode())
    what = error.msg.partition(": line ")[0]
    odd_number = _ODD_NUMBER.match(raw, at - raw.startswith(b"-", max(at - 1, 0)))
    if odd_number is not None:
        what = f"{odd_number[0].decode()} is no JSON number"
    elif "surrogate" in what:
        what = f"half of a surrogate pair ({what})"
    elif "depth limit" in what:
        what = f"more than {MAX_DEPTH} levels of nesting"
    return invalid(f"the body is no JSON: {what}, at byte {at}", code="invalid_json")


def _members(raw: bytes, start: int = 0, end: int | None = None) -> Iterator[Member]:
    """The members of an object that lies in a valid document, in order.

    msgspec tells each value's bytes, but by key, the last of a name alone. We walk from key to key by these lengths. A
    walk that begins at a value and finds the very bytes of a whole value there, and then the end of a value, has found
    that value's end (no JSON value but a number begins with another, and a number ends before a comma or a brace). So
    what does not fit is a name that comes twice, and nothing else; one whose values are alike leaves members over.
    """
    try:
        values = _RAWS.decode(raw if end is None else memoryview(raw)[start:end])
    except RecursionError:
        # Where the stack ends depends on how deep we are ourselves.
        raise _too_deep() from None
    opened = _OPEN.match(raw, start)
    assert opened is not None
    at = opened.end()
    for _ in range(len(values)):
        key = _KEY.match(raw, at)
        assert key is not None
        name = _string(key[1])
        value = bytes(values[name])
        follows = _NEXT.match(raw, key.end() + len(value)) if raw.startswith(value, key.end()) else None
        if follows is None:
            raise _twice(raw, start)
        yield Member(name, key.start(1), key.end(), key.end() + len(value))
        at = follows.end()
    if values and raw[at - 1] != ord("}"):
        raise _twice(raw, start)


def _twice(raw: bytes, start: int) -> Problem:
    """Where a name comes for the second time in the object that begins at `start`; slow, for the message alone."""
    opened = _OPEN.match(raw, start)
    assert opened is not None
    at, depth, seen, key_next = opened.end(), 0, set(), True
    for token in _BRACKET.finditer(raw, at):
        text = token[0]
        if text in (b"{", b"["):
            depth += 1
        elif text in (b"}", b"]"):
            depth -= 1
        elif depth == 0:
            # At the top of the object, keys are the strings with a colon behind them.
            key_next = _KEY.match(raw, token.start()) is not None
            name = _string(text)
            if key_next and name in seen:
                return invalid(
                    f"the body names {name!r} twice, again at byte {token.start()}; name it once",
                    name,
                    "duplicate_member",
                )
            seen |= {name} if key_next else set()
        if depth < 0:
            break
    return invalid("the body names a member twice; name it once", code="duplicate_member")


def _string(quoted: bytes) -> str:
    name: str = orjson.loads(quoted) if b"\\" in quoted else quoted[1:-1].decode()
    return name


def _check_depth(raw: bytes, found: object) -> None:
    """Refuse what nests deeper than `MAX_DEPTH`, which is as deep as orjson writes."""
    try:
        orjson.dumps(found)
    except orjson.JSONEncodeError:
        raise _too_deep() from None


def _too_deep() -> Problem:
    return invalid(f"the body nests more than {MAX_DEPTH} levels deep; send a flatter one", code="invalid_json")


def _check_once(raw: bytes, member: Member) -> None:
    for _ in _members(raw, member.start, member.end):
        pass


def _cut(members: list[Member], name: str) -> list[tuple[int, int, bytes]]:
    """Take a member out with one comma: the one behind it, or of the last the one before."""
    i = next(i for i, member in enumerate(members) if member.name == name)
    if i + 1 < len(members):
        return [(members[i].key, members[i + 1].key, b"")]
    return [(members[i - 1].end if i else members[i].key, members[i].end, b"")]


def _usage_edit(
    raw: bytes, members: Mapping[str, Member], found: Mapping[str, Any]
) -> list[tuple[int, int, bytes]] | None:
    """What makes a stream tell its usage; None where the client asked for it themselves."""
    options = found.get("stream_options")
    if "stream_options" not in members:
        end = members["stream"].end
        return [(end, end, b', "stream_options": {' + _USAGE + b"}")]
    member = members["stream_options"]
    if options is None:
        return [(member.start, member.end, b"{" + _USAGE + b"}")]
    inner = {each.name: each for each in _members(raw, member.start, member.end)}
    if options.get("include_usage"):
        return None
    if "include_usage" in inner:
        flag = inner["include_usage"]
        return [(flag.start, flag.end, b"true")]
    return [(member.start + 1, member.start + 1, _USAGE + (b", " if inner else b""))]


def _spliced(raw: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    pieces: list[bytes] = []
    at = 0
    for start, end, text in edits:
        pieces += (raw[at:start], text)
        at = end
    pieces.append(raw[at:])
    return b"".join(pieces)


def _model(found: Mapping[str, Any]) -> str:
    model = found.get("model")
    if not isinstance(model, str) or not model:
        told = "there is no `model`" if model is None else f"model is {_kind(model)}"
        raise invalid(f"{told}; name one of /v1/models, or `auto`", "model", "missing_model")
    return model


def _flag(found: Mapping[str, Any], name: str, param: str | None = None) -> bool:
    # Engines take "true" and 1 for true: what we read as no stream would come as one.
    value = found.get(name)
    if value is not None and not isinstance(value, bool):
        raise invalid(f"{param or name} is {_shown(value)}; send true or false", param or name)
    return value is True


def _count(found: Mapping[str, Any], name: str, least: int = 1) -> int | None:
    value = found.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise invalid(f"{name} is {_shown(value)}; send an integer of at least {least}", name)
    return value


def _text(found: Mapping[str, Any], name: str) -> str | None:
    value = found.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid(f"{name} is {_shown(value)}; send a string", name)
    return value


def _prompts(prompt: object) -> int:
    """How many answers a prompt stands for: a list of token ids is one prompt, any other list one each."""
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], str | list):
        return len(prompt)
    return 1


def _kind(value: object) -> str:
    kinds = {dict: "object", list: "list", str: "string", bool: "boolean", int: "number", float: "number"}
    return kinds.get(type(value), "null")


def _shown(value: object) -> str:
    """A value in a message: short, and never a text, which may be anybody's."""
    return repr(value) if isinstance(value, int | float) else f"a {_kind(value)}"
