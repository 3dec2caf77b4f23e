"""`experiments/claims.toml`: which command prints the figures of which section, and which of them CI prints again.

[[section]]
page = "README.md"
title = "How fast it allocates"
figures = "0123456789ab"            # a digest: `iemas claims update README.md` writes it
command = "make bench"              # what prints them; or
why = "constants of the format"     # why nothing has to

[[value]]
page = "README.md"
text = "345,124"                    # as it stands on the page
command = "iemas audit vcg --json"  # prints JSON
at = "findings/0/cases"             # where in it; `a=b` picks the item of a list whose member `a` is `b`
tolerance = 0.0                     # share of it
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from experiments.errors import StudyError

FILE = Path(__file__).resolve().parents[2] / "claims.toml"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Registered(_Strict):
    """A section whose figures somebody answers for."""

    page: str
    title: str
    figures: str
    command: str = ""
    why: str = ""


class Value(_Strict):
    """A figure that CI prints again."""

    page: str
    text: str
    command: str
    at: str
    tolerance: float = 0.0
    factor: float = 1.0


class _File(_Strict):
    section: list[Registered] = []
    value: list[Value] = []


@dataclass(frozen=True, slots=True)
class Registry:
    """All that is registered."""

    sections: tuple[Registered, ...]
    values: tuple[Value, ...]

    def find(self, page: str, title: str) -> Registered | None:
        """Who answers for a section."""
        return next((one for one in self.sections if (one.page, one.title) == (page, title)), None)


def read(path: Path = FILE) -> Registry:
    """The registry of a file.

    Raises:
        StudyError: it is none.
    """
    try:
        said = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{path} is no TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise StudyError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    return Registry(tuple(said.section), tuple(said.value))


def write(registry: Registry, path: Path = FILE) -> None:
    """Write a registry, whole or not at all."""
    parts = [*map(_section, registry.sections), *map(_value, registry.values)]
    beside = path.with_name(f".{path.name}.new")
    beside.write_text("\n".join(parts), encoding="utf-8")
    beside.replace(path)


def _section(one: Registered) -> str:
    names = [name for name in ("page", "title", "figures", "command", "why") if getattr(one, name)]
    return _table("section", one, names)


def _value(one: Value) -> str:
    names = ["page", "text", "command", "at", "tolerance"] + (["factor"] if one.factor != 1.0 else [])
    return _table("value", one, names)


def _table(kind: str, one: BaseModel, names: Sequence[str]) -> str:
    lines = [f"{name} = {_toml(getattr(one, name))}" for name in names]
    return "\n".join([f"[[{kind}]]", *lines, ""])


def _toml(value: object) -> str:
    if isinstance(value, float):
        return repr(value)
    text = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'
