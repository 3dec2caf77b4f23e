"""`Cell`: what every policy of a study is put to, and the ways in which cells of one study differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import product

from experiments.errors import StudyError
from experiments.worlds.fleets import FLEET
from experiments.worlds.presets import PRESETS, Preset
from experiments.worlds.rooflines import table_fleet
from experiments.worlds.traffic.agents import SimulatedAgent
from experiments.worlds.workload import Dialogues, Questions, Trace, Workload


@dataclass(frozen=True, slots=True)
class Cell:
    """A workload, bidders, a fleet, and how many requests an agent may serve at once (None: as many as it can).

    `axes` are the columns in which cells of a study differ, by name, as tables print them.
    """

    workload: Workload
    bidders: Preset = PRESETS["differing"]
    fleet: tuple[SimulatedAgent, ...] = ()
    slots: int | None = None
    axes: Mapping[str, str | float | int | None] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if not self.fleet:
            object.__setattr__(self, "fleet", usual_fleet(self.workload))
        names = [agent.name for agent in self.fleet]
        if len(set(names)) < len(names):
            raise StudyError(f"agents are called {', '.join(names)}; give each a name of its own")

    @property
    def name(self) -> str:
        """What tells it from the others of its study."""
        return ", ".join(f"{name} {_said(value)}" for name, value in self.axes.items()) or self.workload.name


def usual_fleet(workload: Workload) -> tuple[SimulatedAgent, ...]:
    """The fleet of a workload that names none: the models of its table, else two small and two large engines."""
    if isinstance(workload, Questions):
        return table_fleet(workload.scored)
    if isinstance(workload, Trace):
        return trace_fleet(workload)
    if isinstance(workload, Dialogues) and workload.scores is not None:
        models = {"smollm2-135m-cpu": "smollm2-135m", "qwen2.5-0.5b-cpu": "qwen2.5-coder-0.5b"}
        return tuple(replace(agent, model=models[agent.calibration]) for agent in FLEET)
    return FLEET


def trace_fleet(workload: Trace) -> tuple[SimulatedAgent, ...]:
    """The models of the trace's table, or four of 8 and 70 billion parameters."""
    from experiments.worlds.rooflines import model_agent

    table = workload.training
    if table is not None:
        return table_fleet(table)
    return tuple(
        model_agent(f"model-{size}b", name=f"{size}b-{twin}", most=131_072) for size in (8, 70) for twin in "ab"
    )


#: How a value of an axis is told, by the columns that tell it.
Columns = Mapping[str, str | float | int | None]


def workload_columns(workloads: Sequence[Workload]) -> list[Columns]:
    """What tells workloads apart: numbers in which alone they differ, such as the rate, else their names.

    Raises:
        StudyError: two are alike.
    """
    if len({type(one) for one in workloads}) == 1 and isinstance(workloads[0], (Dialogues, Questions, Trace)):
        differing = [
            one.name
            for one in fields(workloads[0])
            if any(getattr(workload, one.name) != getattr(workloads[0], one.name) for workload in workloads)
        ]
        found = [{name: getattr(workload, name) for name in differing} for workload in workloads]
        if differing and all(_is_number(value) for row in found for value in row.values()):
            _require_apart([tuple(row.values()) for row in found], "workloads")
            return [{name.replace("_", " "): value for name, value in row.items()} for row in found]
    return named("workload", [one.name for one in workloads])


def named(axis: str, names: Sequence[str | float | int]) -> list[Columns]:
    """One column, with a name or a number for each value.

    Raises:
        StudyError: two are alike.
    """
    _require_apart(names, axis)
    return [{axis: name} for name in names]


def _require_apart(names: Sequence[object], what: str) -> None:
    if len(set(names)) < len(names):
        raise StudyError(f"two of {what} are called {max(names, key=names.count)!r}; a table could not tell them apart")


def _is_number(given: object) -> bool:
    return isinstance(given, (int, float)) and not isinstance(given, bool)


def cells(axes: Mapping[str, Sequence[object]], shown: Mapping[str, Sequence[Columns]]) -> list[Cell]:
    """Every combination of what may vary: `workload`, `bidders`, `fleet`, `slots`.

    Args:
        axes: what each may be.
        shown: the columns that tell that in tables; an axis with one value has none.

    Raises:
        StudyError: an axis is empty.
    """
    for name, values in axes.items():
        if not values:
            raise StudyError(f"{name} is an empty sweep; give it one value at least")
    found = []
    for chosen in product(*(range(len(values)) for values in axes.values())):
        made = {name: axes[name][k] for name, k in zip(axes, chosen, strict=True)}
        columns: dict[str, str | float | int | None] = {}
        for name, k in zip(axes, chosen, strict=True):
            columns |= shown[name][k] if len(axes[name]) > 1 else {}
        found.append(Cell(**made, axes=columns))  # type: ignore[arg-type]
    return found


def _said(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
