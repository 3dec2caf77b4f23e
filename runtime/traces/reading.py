"""Reads a trace, strictly: what is wrong is one error that names file and line; only a last line may be cut off."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from runtime.errors import ServingError
from runtime.traces.records import Head, Record, Recorded

_HEAD = b'{"iemas_trace"'
Kind = TypeVar("Kind", bound=Record)


class TraceError(ServingError):
    """A file that is no trace, or that does not say what a trace says."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace that was read: its requests in the order they arrived.

    `cut_off` says that the last line was not written to its end, as of a process that was killed.
    """

    path: Path
    head: Head
    requests: tuple[Recorded, ...]
    cut_off: bool = False


def read_trace(path: Path) -> Trace:
    """The trace in a file.

    Raises:
        TraceError: the file cannot be read, a line is wrong, or there is no request in it.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise TraceError(f"cannot read {path}: {error.strerror}") from None
    whole, _, rest = raw.rpartition(b"\n")
    lines = whole.split(b"\n") if whole else []
    if not lines:
        raise TraceError(f"{path} holds no request; nothing can be replayed")
    head, requests = _parsed(Head, path, 1, lines[0]), []
    seen: dict[str, int] = {}
    for k, line in enumerate(lines[1:], 2):
        if line.startswith(_HEAD):
            head = _joined(head, _parsed(Head, path, k, line), f"{path}:{k}")
            continue
        one = _parsed(Recorded, path, k, line)
        if one.id in seen:
            raise TraceError(f"{path}:{k}: request {one.id} is in line {seen[one.id]} already")
        seen[one.id] = k
        _check(head, one, f"{path}:{k}")
        requests.append(one)
    if not requests:
        raise TraceError(f"{path} holds no request; nothing can be replayed")
    return Trace(path, head, tuple(sorted(requests, key=lambda one: one.at_s)), cut_off=bool(rest))


def _parsed(kind: type[Kind], path: Path, number: int, line: bytes) -> Kind:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the line"
        raise TraceError(f"{path}:{number}: {where}: {first['msg']}") from None


def _joined(head: Head, later: Head, where: str) -> Head:
    """The later head, which must go on from the one before."""
    if later.agents[: len(head.agents)] != head.agents or later.block != head.block:
        raise TraceError(f"{where}: a head that changes agents or blocks of the one before")
    return later


def _check(head: Head, one: Recorded, where: str) -> None:
    """What no single member can say."""
    most = len(head.agents)
    named = [*one.agents, *([] if one.agent is None else [one.agent])]
    if max(named) >= most:
        raise TraceError(f"{where}: agent {max(named)}, of the {most} that the first line names")
    if len(one.blocks) != one.pieces // head.block:
        raise TraceError(f"{where}: {len(one.blocks)} blocks for {one.pieces} pieces of which {head.block} make one")
    if (one.outcome == "served") != (one.measured is not None):
        raise TraceError(f"{where}: `measured` is for what was served, and for nothing else")
    if one.outcome == "served" and one.agent is None:
        raise TraceError(f"{where}: served by no agent")
