"""`fleet.toml`: which fleet it describes, and every thing that is wrong with it, one line each."""

import os
import tomllib
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from runtime.errors import ServingError
from runtime.gateway.fleet.config import Fleet, Secret
from runtime.gateway.fleet.contradictions import Fault, contradictions, nearest, quoted

Place = tuple[int | str, ...]

#: Keys whose values may be, or hold, what is nobody's to see.
_UNSHOWN = frozenset(("env", "file", "flags", "key", "keys", "url"))
#: What pydantic calls by names of Python.
_EXPECTED = {
    "tuple_type": "expected a list",
    "dict_type": "expected a table",
    "model_type": "expected a table",
    "string_type": "expected a text in quotes",
    "int_type": "expected an integer",
    "float_type": "expected a number",
    "path_type": "expected a text in quotes",
    "string_pattern_mismatch": "expected a letter or digit, then letters, digits and . _ -",
    "string_too_short": "expected a text that is not empty",
}


class FleetError(ServingError):
    """A file that describes no fleet.

    Args:
        path: the file.
        faults: everything that is wrong with it.
    """

    def __init__(self, path: Path, faults: list[Fault]) -> None:
        self.lines = [f"{path}: {fault}" for fault in faults]
        super().__init__("\n".join(self.lines))


def load_fleet(path: Path) -> Fleet:
    """The fleet of a file, checked whole; no key is read and no server asked.

    Raises:
        FleetError: the file cannot be read, is no TOML, or says what cannot be; each fault is one line that names the
            file, the key, its value and the remedy. What does not go together is told once each key alone is right.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FleetError(path, [Fault("the file", f"cannot be read ({error.strerror}); see docs/fleet.md")]) from None
    except UnicodeDecodeError as error:
        raise FleetError(path, [Fault("the file", f"no UTF-8 at byte {error.start}; save it as UTF-8")]) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        told = str(error) if isinstance(error, ValueError) else "it nests too deep"
        raise FleetError(path, [Fault("the file", f"no TOML: {told}")]) from None
    return parse_fleet(data, path)


def parse_fleet(data: dict[str, Any], path: Path) -> Fleet:
    """The same of what a file holds; relative paths begin at its folder.

    Raises:
        FleetError: as `load_fleet`.
    """
    try:
        fleet = Fleet.model_validate(data, context={"folder": path.absolute().parent})
    except ValidationError as error:
        raise FleetError(path, [_fault(each) for each in error.errors(include_url=False)]) from None
    faults = contradictions(fleet)
    if faults:
        raise FleetError(path, faults)
    return fleet


def read_secret(secret: Secret, path: str) -> str:
    """The key itself, from where it lies.

    Raises:
        ServingError: it lies not there; the message names `path`, the place in the file, and no key.
    """
    if secret.env is not None:
        key = os.environ.get(secret.env, "")
        where, remedy = f"the variable {secret.env}", f"export {secret.env}"
    else:
        assert secret.file is not None
        where, remedy = str(secret.file), "write the key into its first line"
        try:
            key = secret.file.read_text(encoding="utf-8").partition("\n")[0].strip()
        except (OSError, UnicodeDecodeError):
            key = ""
    if not key:
        raise ServingError(f"{path}: {where} holds no key; {remedy}")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ServingError(f"{path}: {where} holds what no header can: write visible ASCII without spaces")
    return key


def secrets_of(fleet: Fleet) -> dict[str, Secret]:
    """Where every key of the file lies, by its place in the file."""
    own = {f"keys[{i}].key": key.key for i, key in enumerate(fleet.keys)}
    if fleet.server.admin is not None:
        own["server.admin.key"] = fleet.server.admin.key
    return {f"agents[{i}].key": agent.key for i, agent in enumerate(fleet.agents) if agent.key is not None} | own


def _fault(error: ErrorDetails) -> Fault:
    place, value = error["loc"], error["input"]
    path = _path(place)
    section, field = _where(place)
    kind = error["type"]
    if kind == "extra_forbidden":
        # The key is what is wrong; its value might be somebody's password.
        return Fault(path, f"no such key; {nearest(str(place[-1]), list(section.model_fields))}")
    key = next((part for part in reversed(place) if isinstance(part, str)), "")
    remedy = _remedy(key, field)
    if kind == "missing":
        return Fault(path, f"missing; add {remedy or key}")
    if "key" in place and field is not None and (key == "key" or section is Secret):
        return Fault(path, 'a key does not stand here; write { env = "NAME" } or { file = "PATH" }, where it lies')
    told = _EXPECTED.get(kind) or error["msg"].replace("Input should be", "expected").replace(
        "String should", "it should"
    )
    told = f"{told[0].lower()}{told[1:]}" + (f"; write for instance {remedy}" if remedy else "")
    return Fault(path, told, None if key in _UNSHOWN else value)


def _remedy(key: str, field: FieldInfo | None) -> str:
    """What to write, after the field's example; of a table of names there are two, for itself and for a name in it."""
    examples = [] if field is None else list(field.examples or ())
    if not examples:
        return ""
    is_inner = len(examples) > 1 and field is not Fleet.model_fields.get(key)
    example = str(examples[is_inner])
    return example if example.startswith(("a ", "an ")) else f"{quoted(key)} = {example}"


def _path(place: Place) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{quoted(part)}" if text else quoted(part)
    return text or "the file"


def _where(place: Place) -> tuple[type[BaseModel], FieldInfo | None]:
    """The table in which the last key of a place stands, and the field that it is."""
    section: type[BaseModel] = Fleet
    inner: type[BaseModel] | None = Fleet
    field: FieldInfo | None = None
    for part in place:
        if isinstance(part, int):
            continue
        if inner is not None and part in inner.model_fields:
            section, field = inner, inner.model_fields[part]
            inner = _model_in(field.annotation)
        elif inner is not None and field is not None and get_origin(field.annotation) is not dict:
            section, field = inner, None
        elif inner is not None:
            section = inner
    return section, field


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not isinstance(annotation, UnionType) and get_origin(annotation) is None:
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for each in get_args(annotation) if (found := _model_in(each)) is not None), None)
