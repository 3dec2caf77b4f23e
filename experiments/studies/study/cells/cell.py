"""`Cell`: what every policy of a study is put to, and the ways in which cells of one study differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from itertools import product

from experiments.errors import StudyError
from experiments.worlds.churn import Change, beginning
from experiments.worlds.fleets import FLEET
from experiments.worlds.presets import PRESETS, Preset
from experiments.worlds.rooflines import table_fleet
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.workloads.fields import said
from experiments.worlds.workloads.mix import Mix
from experiments.worlds.workloads.workload import Dialogues, Questions, Trace, Workload

#: What a column of a table may hold.
Shown = str | float | int | None


@dataclass(frozen=True, slots=True)
class Cell:
    """A workload, bidders, a fleet, and how many requests an agent may serve at once (None: as many as it can).

    `axes` are the columns in which cells of a study differ, by name; `churn` is which agents leave and join, and when.

    Raises:
        StudyError: two agents have one name, there is no such capacity, or `churn` is of other agents.
    """

    workload: Workload
    bidders: Preset = PRESETS["differing"]
    fleet: tuple[SimulatedAgent, ...] = ()
    slots: int | None = None
    axes: Mapping[str, Shown] = field(default_factory=dict, compare=False)
    churn: tuple[Change, ...] = ()

    def __post_init__(self) -> None:
        for agent in self.fleet:
            if not isinstance(agent, SimulatedAgent):
                raise StudyError(f"fleet: {agent!r:.60} is no agent; give SimulatedAgents, or model_agent(...)")
        if not self.fleet:
            object.__setattr__(self, "fleet", usual_fleet(self.workload))
        if isinstance(self.workload, Mix):
            _require_models(self.workload, self.fleet)
        if self.slots is not None and (
            not isinstance(self.slots, int) or isinstance(self.slots, bool) or self.slots < 1
        ):
            raise StudyError(f"slots = {self.slots!r}; an agent serves at least 1 request, None for as many as it can")
        beginning(self.fleet, self.churn)
        names = [agent.name for agent in self.fleet]
        if len(set(names)) < len(names):
            raise StudyError(f"agents are called {', '.join(names)}; give each a name of its own")

    @property
    def name(self) -> str:
        """What tells it from the others of its study."""
        return ", ".join(told(name, value) for name, value in self.axes.items()) or self.workload.name

    @property
    def beginning(self) -> tuple[SimulatedAgent, ...]:
        """The agents that are there when traffic begins."""
        return beginning(self.fleet, self.churn)


def usual_fleet(workload: Workload) -> tuple[SimulatedAgent, ...]:
    """The fleet of a workload that names none: the models of its table, else two small and two large engines.

    Of a mix it is that of the first part with a table, as far as other tables have its models; else that of a trace.

    Raises:
        StudyError: nobody could answer two parts of a mix.
    """
    if isinstance(workload, Mix):
        return _mixed_fleet(workload)
    if isinstance(workload, Questions):
        return table_fleet(workload.scored)
    if isinstance(workload, Trace):
        return trace_fleet(workload)
    if isinstance(workload, Dialogues) and workload.scores is not None:
        models = {"smollm2-135m-cpu": "smollm2-135m", "qwen2.5-0.5b-cpu": "qwen2.5-coder-0.5b"}
        return tuple(replace(agent, model=models[agent.calibration]) for agent in FLEET)
    return FLEET


def _mixed_fleet(workload: Mix) -> tuple[SimulatedAgent, ...]:
    parts, tables = workload.by_name, workload.tables
    models = workload.models
    leading = [parts[name] for name, table in tables.items() if table is not None]
    leading += [one for one in parts.values() if isinstance(one, Trace)]
    fleet = usual_fleet([*leading, *parts.values()][0])
    return tuple(agent for agent in fleet if agent.answers_as in models) or fleet


def _require_models(workload: Mix, fleet: Sequence[SimulatedAgent]) -> None:
    """Have every table of a mix have scores of every agent.

    Raises:
        StudyError: one lacks a model.
    """
    for name, table in workload.tables.items():
        if table is None:
            continue
        lacking = next((agent for agent in fleet if agent.answers_as not in table.models), None)
        if lacking is not None:
            raise StudyError(
                f"workload.mix: {name} is scored by {table.title}, which has no scores of {lacking.answers_as!r}; its "
                f"models are: {', '.join(table.models)}; give agent {lacking.name!r} one of them as `model`"
            )


def trace_fleet(workload: Trace) -> tuple[SimulatedAgent, ...]:
    """The models of the trace's table, or four of 8 and 70 billion parameters."""
    from experiments.worlds.rooflines import model_agent

    if workload.scores is not None:
        return table_fleet(workload.scores)
    return tuple(
        model_agent(f"model-{size}b", name=f"{size}b-{twin}", most=131_072) for size in (8, 70) for twin in "ab"
    )


def cells(
    axes: Mapping[str, Sequence[object]],
    shown: Mapping[str, Sequence[Mapping[str, Shown]]],
    churn: tuple[Change, ...] = (),
) -> list[Cell]:
    """Every combination of what may vary: `workload`, `bidders`, `fleet`, `slots`.

    Args:
        axes: what each may be.
        shown: the columns that tell that from the others; none where there is one value.

    Raises:
        StudyError: an axis is empty.
    """
    for name, values in axes.items():
        if not values:
            raise StudyError(f"{name} is an empty sweep; give it one value at least")
    found = []
    for chosen in product(*(range(len(values)) for values in axes.values())):
        made = {name: axes[name][k] for name, k in zip(axes, chosen, strict=True)}
        columns: dict[str, Shown] = {}
        for name, k in zip(axes, chosen, strict=True):
            columns |= shown[name][k]
        found.append(Cell(**made, axes=columns, churn=churn))  # type: ignore[arg-type]
    return found


def columns(name: str, values: Sequence[Shown]) -> list[dict[str, Shown]]:
    """One column of what an axis may be; none where it has one value.

    Raises:
        StudyError: a table could not tell two of them apart.
    """
    if len(set(values)) < len(values):
        twice = max(values, key=list(values).count)
        raise StudyError(f"two of {name} are called {twice!r}; a table could not tell them apart")
    return [{name: value} if len(values) > 1 else {} for value in values]


def columns_of(workloads: Sequence[Workload]) -> list[dict[str, Shown]]:
    """The fields in which workloads of one kind differ; of several kinds, their names.

    Raises:
        StudyError: two are alike.
    """
    kinds = {type(one) for one in workloads}
    if len(workloads) > 1 and len(kinds) == 1 and is_dataclass(workloads[0]):
        rows = [_fields(load) for load in workloads]
        # Mixes of other parts have other fields.
        names = dict.fromkeys(name for row in rows for name in row)
        differ = [name for name in names if len({row.get(name, _ABSENT) for row in rows}) > 1]
        if any(name not in row for row in rows for name in differ):
            return columns("workload", [one.name for one in workloads])
        found = [{name: row[name] for name in differ} for row in rows]
        if len({tuple(row.items()) for row in found}) == len(found):
            return found
    return columns("workload", [one.name for one in workloads])


#: What no field says.
_ABSENT = "\0"


def _fields(load: Workload) -> dict[str, Shown]:
    """What a workload says, by field; of a mix with the part before it, `talk.rate`."""
    if isinstance(load, Mix):
        parts = {f"{part}.{name}": value for part, one in load.by_name.items() for name, value in _fields(one).items()}
        shares = {f"{part}.share": shown(value) for part, value in load.by_share.items()}
        return {"shared_bidders": shown(load.shared_bidders), **parts, **shares}
    return {one.name: shown(getattr(load, one.name)) for one in fields(load) if one.init}  # type: ignore[arg-type]


def shown(value: object) -> Shown:
    """A value of an axis: a number as it is, anything else as tables print it."""
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    return said(value)


def told(name: str, value: Shown) -> str:
    """A value of an axis with its name."""
    if value is None:
        return "slots all" if name == "slots" else f"no {name.replace('_', ' ')}"
    return f"{name.replace('_', ' ')} {said(value)}"
