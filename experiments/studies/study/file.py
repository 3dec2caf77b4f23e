"""A study as a TOML file: whatever may vary is a value or a list of values, and a list is a sweep.

name = "rates"
policies = ["iemas", "cache-aware", {name = "half", policy = "iemas", mechanism = "my_rules:HalfPrice"}]
seeds = "0..4"

[workload]
dialogues = "shipped"     # or questions = a table, or trace = a trace
rate = [0.5, 2.0]

[market]
bidders = "differing"
slots = [2, "all"]

[[agents]]
name = "small"
calibration = "smollm2-135m-cpu"
prices = [0.01, 0.001, 0.02]
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from experiments.errors import StudyError
from experiments.studies.study.study import USUAL, Study
from experiments.worlds.rooflines import model_agent
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.workload import Dialogues, Questions, Trace, Workload
from prediction import TokenPrices
from runtime import EngineError, EngineShape

#: Studies that ship, by name.
SHIPPED = Path(__file__).parents[1] / "shipped"

_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_KINDS: Mapping[str, tuple[Callable[..., Workload], str]] = {
    "dialogues": (Dialogues, "data"),
    "questions": (Questions, "table"),
    "trace": (Trace, "trace"),
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Agent(_Strict):
    name: str
    model: str = ""
    calibration: str = ""
    billions: float | None = None
    skill: float = 0.5
    prices: tuple[float, float, float] | None = Field(default=None, strict=False)
    copies: int = Field(default=1, ge=1)
    block_size: int | None = Field(default=None, ge=1)
    cache_blocks: int | None = Field(default=None, ge=2)
    max_num_seqs: int | None = Field(default=None, ge=1)
    max_num_batched_tokens: int | None = Field(default=None, ge=1)
    max_model_len: int | None = Field(default=None, ge=2)


class _Market(_Strict):
    bidders: str | list[str] = "differing"
    slots: int | Literal["all"] | list[int | Literal["all"]] = "all"
    mechanism: str = "vcg"
    allocator: str | None = None
    predictor: str | None = None
    despite_audit: bool = False
    delay: str = "first-token"


class _File(_Strict):
    name: str = ""
    about: str = ""
    policies: list[str | dict[str, str]] = list(USUAL)
    seeds: int | str | list[int] = 5
    workload: dict[str, Any] | list[dict[str, Any]]
    market: _Market = _Market()
    agents: list[_Agent] = []


def read_study(name: str | Path) -> Study:
    """A study of a file, or one that ships, by name.

    Raises:
        StudyError: there is none, or it says something that is none; the message names the file and the key.
    """
    path = find(name)
    try:
        said = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyError(f"{path} is no TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("function", "list[", "dict[")))
        raise StudyError(f"{path}: {where}: {first['msg']} (found {first['input']!r:.60})") from error
    try:
        return Study(
            [one for table in _listed(said.workload) for one in workloads(table)],
            said.policies,
            seeds_of(said.seeds),
            _fleet(said.agents, path) or None,
            said.market.bidders,
            [None if one == "all" else one for one in _listed(said.market.slots)],
            said.market.mechanism,
            said.market.allocator,
            said.market.predictor,
            despite_audit=said.market.despite_audit,
            delay=said.market.delay,
            name=said.name or path.stem,
        )
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from error


def find(name: str | Path) -> Path:
    """The file of a study.

    Raises:
        StudyError: there is none.
    """
    path = Path(name)
    if path.suffix == ".toml":
        return path
    shipped = SHIPPED / f"{name}.toml"
    if not shipped.is_file():
        known = ", ".join(sorted(one.stem for one in SHIPPED.glob("*.toml")))
        raise StudyError(f"no study {str(name)!r}; there are: {known}, or a file of yours, study.toml")
    return shipped


def workloads(said: Mapping[str, Any]) -> list[Workload]:
    """Every workload that a table of a file means.

    Raises:
        StudyError: it names no kind, or something that the kind does not know.
    """
    kinds = [kind for kind in _KINDS if isinstance(said.get(kind), str) or (kind == "dialogues" and _files(said))]
    if len(kinds) != 1:
        raise StudyError(
            f'workload: name one of {", ".join(_KINDS)}, such as dialogues = "shipped"; found {dict(said)}'
        )
    make, source = _KINDS[kinds[0]]
    given = {source: said[kinds[0]], **{name: value for name, value in said.items() if name != kinds[0]}}
    if isinstance(given[source], list):
        given[source] = (tuple(given[source]),)
    swept = {name: value if isinstance(value, (list, tuple)) else [value] for name, value in given.items()}
    for name, values in swept.items():
        if not values:
            raise StudyError(f"workload.{name} is an empty sweep; give it one value at least")
    found = []
    for values in product(*swept.values()):
        chosen = dict(zip(swept, values, strict=True))
        try:
            found.append(make(**chosen))
        except TypeError as error:
            known = ", ".join(name for name in make.__dataclass_fields__ if name != source)  # type: ignore[attr-defined]
            raise StudyError(f"workload: {error}; {kinds[0]} knows: {known}") from error
    return found


def seeds_of(said: int | str | list[int]) -> list[int]:
    """Seeds as a file says them: how many, "0..9", or which.

    Raises:
        StudyError: it is none of these.
    """
    if isinstance(said, int):
        return list(range(said))
    if isinstance(said, list):
        return said
    found = _RANGE.fullmatch(said)
    if found is None:
        raise StudyError(f'seeds = {said!r}; expected how many, a range such as "0..9", or a list')
    return list(range(int(found[1]), int(found[2]) + 1))


def _fleet(said: list[_Agent], path: Path) -> list[SimulatedAgent]:
    found = []
    sizes = ("block_size", "cache_blocks", "max_num_seqs", "max_num_batched_tokens", "max_model_len")
    for one in said:
        changed = {name: getattr(one, name) for name in sizes if getattr(one, name) is not None}
        prices = None if one.prices is None else TokenPrices(*one.prices)
        for k in range(one.copies):
            name = one.name if one.copies == 1 else f"{one.name}-{k + 1}"
            if one.calibration:
                if prices is None:
                    raise StudyError(f"agents.{one.name}: say its prices, credits of a fresh, cached and output token")
                # A name is looked for among those that ship, a file beside the study.
                beside = path.parent / one.calibration
                known = str(beside) if one.calibration.endswith(".json") else one.calibration
                made = SimulatedAgent(name, known, EngineShape(**changed), prices, one.skill, one.model)
                try:
                    made.step_time  # noqa: B018
                except EngineError as error:
                    raise StudyError(f"agents.{one.name}: {error}") from error
            else:
                made = model_agent(one.model or one.name, prices, billions=one.billions, name=name)
            found.append(made)
    return found


def _files(said: Mapping[str, Any]) -> bool:
    given = said.get("dialogues")
    return isinstance(given, list) and all(isinstance(one, str) for one in given)


def _listed(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]
