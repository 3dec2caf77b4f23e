"""A study as a TOML file: whatever may vary is a value or a list of values, and a list is a sweep.

name = "rates"
policies = ["iemas", "cache-aware", {name = "half", policy = "iemas", mechanism = "my_rules:HalfPrice"}]
seeds = "0..4"

[workload]
dialogues = "shipped"     # or questions = a table, or trace = a trace, or [[workload.mix]] for several at once
rate = [0.5, 2.0]

[market]
bidders = "differing"
slots = [2, "all"]

[[agents]]
name = "small"
calibration = "smollm2-135m-cpu"
prices = [0.01, 0.001, 0.02]
copies = 2

[[churn]]
at_s = 12.0
agent = "small-1"
event = "leaves"
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from experiments.errors import StudyError
from experiments.studies.study.running.playing import Measure
from experiments.studies.study.study import USUAL, Study
from experiments.worlds.rooflines import model_agent
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.workloads.fields import weight
from experiments.worlds.workloads.mix import Mix
from experiments.worlds.workloads.workload import Dialogues, Questions, Trace, Workload
from mechanisms import MechanismError
from mechanisms.catalogue import import_object
from prediction import PredictionError, TokenPrices
from runtime import EngineError, EngineShape

#: Studies that ship, by name.
SHIPPED = Path(__file__).parents[1] / "shipped"

_KINDS: Mapping[str, tuple[Callable[..., Workload], str]] = {
    "dialogues": (Dialogues, "data"),
    "questions": (Questions, "table"),
    "trace": (Trace, "trace"),
}


def _listed(given: Any) -> list[Any]:
    """One of something, or several."""
    return given if isinstance(given, list) else [given]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Agent(_Strict):
    name: str = Field(min_length=1)
    model: str = ""
    calibration: str = ""
    billions: float | None = Field(default=None, gt=0)
    skill: float = Field(default=0.5, ge=0, le=1)
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


class _Change(_Strict):
    at_s: float
    agent: str
    event: str


class _File(_Strict):
    name: str = ""
    about: str = ""
    policies: Annotated[list[str | dict[str, str]], BeforeValidator(_listed)] = list(USUAL)
    seeds: int | str | list[int] = 5
    workload: dict[str, Any] | list[dict[str, Any]]
    market: _Market = _Market()
    agents: list[_Agent] = []
    churn: list[_Change] = []
    measures: Annotated[list[str], BeforeValidator(_listed)] = []


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
        raise StudyError(f"{path}: {_fault(error)}") from error
    try:
        return Study(
            [one for table in _listed(said.workload) for one in workloads(table)],
            said.policies,
            said.seeds,
            _fleet(said.agents, path) or None,
            said.market.bidders,
            [None if one == "all" else one for one in _listed(said.market.slots)],
            said.market.mechanism,
            said.market.allocator,
            said.market.predictor,
            measures=[_measure(name) for name in said.measures],
            despite_audit=said.market.despite_audit,
            delay=said.market.delay,
            name=said.name or path.stem,
            churn=[(one.at_s, one.agent, one.event) for one in said.churn],
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


def workloads(said: Mapping[str, Any], where: str = "workload") -> list[Workload]:
    """Every workload that a table of a file means.

    Args:
        where: the table, as errors name it.

    Raises:
        StudyError: it names no kind, or something that the kind does not know.
    """
    kinds = [kind for kind in (*_KINDS, "mix") if kind in said]
    if len(kinds) != 1:
        raise StudyError(
            f'{where}: name one of {", ".join(_KINDS)}, such as dialogues = "shipped", or [[{where}.mix]] for several; '
            f"found {dict(said)}"
        )
    return _mixes(said, where) if kinds == ["mix"] else _of_a_kind(kinds[0], said, where)


def _of_a_kind(kind: str, said: Mapping[str, Any], where: str) -> list[Workload]:
    make, source = _KINDS[kind]
    # How many dialogues of a file is `count`, as of questions: `dialogues` is the file.
    names: dict[str, str] = {kind: source, **({"count": "dialogues"} if kind == "dialogues" else {})}
    known = [field for field in make.__dataclass_fields__ if field != source]  # type: ignore[attr-defined]
    keys = sorted({"count" if kind == "dialogues" and field == "dialogues" else field for field in known})
    for name in said:
        if name != kind and name not in keys:
            raise StudyError(f"{where}.{name}: there is no such key; with {kind} there are: {', '.join(keys)}")
    swept = {names.get(name, name): _swept(make, names.get(name, name), value) for name, value in said.items()}
    return [_made(make, chosen, where) for chosen in _every(swept, where)]


def _mixes(said: Mapping[str, Any], where: str) -> list[Workload]:
    """Every mix: of all that each part may be, by its `name` or its kind."""
    parts: dict[str, list[Any]] = {}
    shares: dict[str, list[float]] = {}
    for name in said:
        if name not in ("mix", "shared_bidders"):
            raise StudyError(f"{where}.{name}: there is no such key; with mix there are: shared_bidders")
    if not isinstance(said["mix"], list) or not all(isinstance(one, dict) for one in said["mix"]):
        raise StudyError(f"{where}.mix: expected a table for each part, [[{where}.mix]] (found {said['mix']!r:.60})")
    for k, one in enumerate(said["mix"]):
        at = f"{where}.mix.{k}"
        rest = {name: value for name, value in one.items() if name not in ("name", "share")}
        name = one.get("name") or next((kind for kind in (*_KINDS, "mix") if kind in rest), "")
        if not isinstance(name, str):
            raise StudyError(f"{at}.name: expected a text (found {name!r:.60})")
        if name in parts:
            raise StudyError(f"{at}.name: two parts are called {name!r}; give each a `name` of its own")
        parts[name] = workloads(rest, at)
        if "share" in one:
            if one["share"] == []:
                raise StudyError(f"{at}.share is an empty sweep; give it one value at least")
            shares[name] = [weight(value, f"{at}.share") for value in _listed(one["share"])]
    shared = {"shared_bidders": _listed(said["shared_bidders"])} if "shared_bidders" in said else {}
    mixed = [dict(zip(parts, chosen, strict=True)) for chosen in product(*parts.values())]
    for k, name in enumerate(parts):
        if shares and name not in shares:
            raise StudyError(f"{where}.mix.{k}.share: it is missing; say it of each part or of none")
    apart = {"share": [dict(zip(shares, one, strict=True)) for one in product(*shares.values())]} if shares else {}
    return [_made(Mix, chosen, where) for chosen in _every({"parts": mixed, **apart, **shared}, where)]


def _every(swept: Mapping[str, Sequence[object]], where: str) -> list[dict[str, object]]:
    """Every combination of what fields may be.

    Raises:
        StudyError: a sweep is empty.
    """
    for name, values in swept.items():
        if not values:
            raise StudyError(f"{where}.{name} is an empty sweep; give it one value at least")
    return [dict(zip(swept, chosen, strict=True)) for chosen in product(*swept.values())]


def _made(make: Callable[..., Workload], given: Mapping[str, object], where: str) -> Workload:
    try:
        return make(**given)
    except StudyError as error:
        raise StudyError(f"{where}: {error}") from error


def _swept(make: Callable[..., Workload], name: str, value: object) -> list[object]:
    """The values of a key. A list is a sweep, but of what may be several itself a list of lists is."""
    several = (make is Dialogues and name == "data") or (make is Questions and name == "models")
    if several and isinstance(value, list) and not any(isinstance(one, list) for one in value):
        value = [value] if value else []
    if isinstance(value, list):
        return [tuple(one) if isinstance(one, list) else one for one in value]
    return [value]


def _fault(error: ValidationError) -> str:
    """The first thing that is wrong, by its key."""
    first = error.errors()[0]
    # Of what may be several things, pydantic names each; whoever wrote the file knows keys and places alone.
    keys = [str(part) for part in first["loc"] if isinstance(part, int) or str(part) in _ALL]
    if first["type"] == "extra_forbidden":
        table = keys[0] if keys else ""
        where = ".".join([*keys, str(first["loc"][-1])])
        return f"{where}: there is no such key; there are: {', '.join(KEYS[table])} (found {first['input']!r:.60})"
    meant = [one for one in error.errors() if one["loc"][: len(keys)] == first["loc"][: len(keys)]]
    said = "; or: ".join(dict.fromkeys(str(one["msg"]).replace("Input should be", "expected") for one in meant))
    said = "it is missing" if first["type"] == "missing" else f"{said} (found {first['input']!r:.60})"
    return f"{'.'.join(keys)}: {said}"


def _fleet(said: list[_Agent], path: Path) -> list[SimulatedAgent]:
    found = []
    for one in said:
        for k in range(one.copies):
            name = one.name if one.copies == 1 else f"{one.name}-{k + 1}"
            found.append(_fitted(one, name, path) if one.calibration else _modelled(one, name))
    return found


def _shape(one: _Agent) -> dict[str, int]:
    sizes = ("block_size", "cache_blocks", "max_num_seqs", "max_num_batched_tokens", "max_model_len")
    return {name: getattr(one, name) for name in sizes if getattr(one, name) is not None}


def _fitted(one: _Agent, name: str, path: Path) -> SimulatedAgent:
    """An agent whose speed was measured."""
    if one.prices is None:
        raise StudyError(f"agents.{one.name}: say its prices, credits of a fresh, cached and output token")
    if one.billions is not None:
        raise StudyError(f"agents.{one.name}: its calibration says how fast it is; leave out billions")
    # A name is looked for among those that ship, a file beside the study.
    beside = path.parent / one.calibration
    known = str(beside) if one.calibration.endswith(".json") else one.calibration
    try:
        made = SimulatedAgent(name, known, EngineShape(**_shape(one)), TokenPrices(*one.prices), one.skill, one.model)
        made.step_time  # noqa: B018
    except (EngineError, PredictionError) as error:
        raise StudyError(f"agents.{one.name}: {error}") from error
    return made


def _modelled(one: _Agent, name: str) -> SimulatedAgent:
    """An agent as fast as a roofline has it."""
    try:
        prices = None if one.prices is None else TokenPrices(*one.prices)
        most = one.max_model_len or 32_768
        made = model_agent(one.model or one.name, prices, billions=one.billions, name=name, most=most)
        return replace(made, skill=one.skill, shape=replace(made.shape, **_shape(one)))
    except (EngineError, PredictionError, StudyError) as error:
        raise StudyError(f"agents.{one.name}: {error}") from error


#: Keys of a file, and of each of its tables.
KEYS: Mapping[str, tuple[str, ...]] = {
    "": tuple(_File.model_fields),
    "market": tuple(_Market.model_fields),
    "agents": tuple(_Agent.model_fields),
    "churn": tuple(_Change.model_fields),
}
_ALL = frozenset(name for names in KEYS.values() for name in names)


def _measure(name: str) -> Measure:
    """A function of the traffic, or a class that is made from it.

    Raises:
        StudyError: there is none.
    """
    try:
        found: Measure = import_object(name)  # type: ignore[assignment]
    except MechanismError as error:
        raise StudyError(f"measures: {error}") from error
    return found
