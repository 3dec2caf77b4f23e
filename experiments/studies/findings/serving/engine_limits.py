"""Do the limits that the paper gives its engines bind? Twelve sequences a batch, and 0.6 of an accelerator's memory.

Models of 8 and 4 billion parameters of an assumed roofline; what is left of the memory after the weights is cache. A
model whose weights alone are more than that share is refused, as its engine would refuse to start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from experiments.data import find_real
from experiments.errors import StudyError
from experiments.files import named_folder
from experiments.studies.findings.exhibits.exhibit import Exhibit, Interval, Progress, Value
from experiments.studies.study import Dialogues, Study, StudyResult
from experiments.studies.study.keeping.kept import Kept
from experiments.worlds.rooflines import Accelerator, kv_bytes, roofline
from experiments.worlds.traffic.agents import SimulatedAgent
from prediction import TokenPrices
from runtime import EngineShape

POLICIES = ("iemas", "cache-aware", "sticky", "random")
LARGE = Accelerator()
#: As the default is: half of a data sheet's 165 TFLOP/s in bfloat16, three quarters of its 1 TB/s.
SMALL = Accelerator("a 24 GB accelerator at half its peak", 82e12, 0.75e12, 24e9)

_BLOCK = 16
_LONGEST = 8192
#: Bytes of a parameter in bfloat16.
_BYTES = 2
#: Credits a prompt token of a billion parameters; assumed, as skills are.
_PRICE = 0.0004
_SKILLS = {4: 0.6, 8: 0.7}


@dataclass(frozen=True, slots=True)
class Limits:
    """Sequences in a batch, and the share of the accelerator's memory for weights and cache."""

    sequences: int
    memory: float

    def __str__(self) -> str:
        return f"{self.sequences} sequences, {self.memory:g} of memory"


PAPER = Limits(12, 0.6)
#: What the engine takes where nobody says anything else.
USUAL = Limits(256, 0.9)
#: Little more than the weights of 4 billion parameters in 24 GB: a cache that binds, to see what that looks like.
TIGHT = Limits(12, 0.4)


def agent(name: str, billions: int, on: Accelerator, limits: Limits) -> SimulatedAgent:
    """An engine of one accelerator within limits.

    Raises:
        StudyError: weights and the longest prompt do not fit.
    """
    room = limits.memory * on.memory - _BYTES * 1e9 * billions
    blocks = int(room / kv_bytes(billions)) // _BLOCK
    if blocks <= _LONGEST // _BLOCK:
        raise StudyError(
            f"{billions} billion parameters in {limits.memory:g} of {on.memory / 1e9:g} GB leave "
            f"{room / 1e9:.1f} GB for the cache, less than a prompt of {_LONGEST} tokens; take more memory"
        )
    price = _PRICE * billions
    return SimulatedAgent(
        name,
        "roofline",
        EngineShape(
            block_size=_BLOCK,
            cache_blocks=blocks,
            max_num_seqs=limits.sequences,
            max_num_batched_tokens=_LONGEST,
            max_model_len=_LONGEST,
        ),
        TokenPrices(price, price / 10, 2 * price),
        _SKILLS[billions],
        timing=roofline(billions, on),
    )


def fleets() -> dict[str, Sequence[SimulatedAgent]]:
    """Three agents in each: two of 8 billion and one of 4 where they fit, else three of 4, also with little cache."""
    made: dict[str, Sequence[SimulatedAgent]] = {}
    for on, sizes, several in ((LARGE, (8, 8, 4), (PAPER, USUAL)), (SMALL, (4, 4, 4), (PAPER, USUAL, TIGHT))):
        for limits in several:
            name = f"{'+'.join(map(str, sizes))}b on {on.memory / 1e9:g} GB, {limits}"
            made[name] = tuple(agent(f"{size}b-{k}", size, on, limits) for k, size in enumerate(sizes))
    return made


def workloads(where: str) -> dict[str, Dialogues]:
    """The shipped dialogues, and INSCIT's with ten times the context where a folder has it."""
    found = {"shipped": Dialogues("shipped", rate=10.0, think_time_s=1.0)}
    for path in find_real([where]) if where else ():
        if "inscit" in Path(path).parts:
            found["INSCIT"] = Dialogues(
                str(path), rate=10.0, dialogues=30, turns=6, context_words=4000, think_time_s=1.0
            )
    return found


_SHOWN = {
    "hit_rate": ("hit rate, %", 100.0),
    "wait_median": ("to first token, median ms", 1000.0),
    "wait_p95": ("to first token, p95 ms", 1000.0),
    "latency_median": ("to last token, median ms", 1000.0),
    "cost": ("cost a request, credits", 1.0),
}


def run(
    *,
    seeds: Sequence[int],
    workers: int | str | None,
    progress: Progress,
    kept: Kept | None = None,
    given: Mapping[str, Dialogues] | None = None,
    agents: Mapping[str, Sequence[SimulatedAgent]] | None = None,
) -> Exhibit:
    """Every workload and fleet.

    Raises:
        StudyError: there is no workload or no fleet.
    """
    loads = workloads(named_folder()) if given is None else dict(given)
    held = dict(fleets() if agents is None else agents)
    if not loads or not held:
        raise StudyError("no workload or no fleet; give one of each at least")
    rows: list[tuple[Value, ...]] = []
    each, made = len(held) * len(POLICIES) * len(seeds), None
    sources: dict[str, str] = {}
    for k, (name, load) in enumerate(loads.items()):
        result = Study(load, POLICIES, seeds, held, name="engine-limits").run(
            workers=workers,
            progress=lambda done, _, before=k * each: progress(before + done, each * len(loads)),  # type: ignore[misc]
            kept=kept,
        )
        made = result.made
        sources |= dict(made.sources)
        for fleet, cell in zip(held, result.cells, strict=True):
            for policy in POLICIES:
                figures = [_interval(result, policy, figure, cell, unit) for figure, (_, unit) in _SHOWN.items()]
                rows.append((f"{name}, {policy}", fleet, *figures))
    assert made is not None
    blocks = "; ".join(
        f"{name}: " + ", ".join(f"{one.shape.cache_blocks * _BLOCK // 1000}k" for one in some)
        for name, some in held.items()
    )
    told = "; ".join(f"{name}: {load.name}" for name, load in loads.items())
    missing = "" if "INSCIT" in loads or given else " INSCIT is not here: set IEMAS_DATASETS to a folder of it."
    return Exhibit(
        "engine-limits",
        "Do twelve sequences a batch and 0.6 of an accelerator's memory change what routing is worth?",
        ("traffic, policy", "fleet", *(heading for heading, _ in _SHOWN.values())),
        tuple(rows),
        (
            f"Simulated: real text ({told}) on engines of an assumed roofline, nothing of which was measured; skills "
            f"and prices are assumed, so welfare is not shown.{missing}",
            f"Tokens of cache, by agent: {blocks}. 8 billion parameters in bfloat16 take 16 GB: beyond 0.6 of 24 GB.",
            f"95 % by the bootstrap over {len(seeds)} seeds. The paper's accelerator, arrivals and number of agents "
            "are not known, so its own figures are not what this repeats.",
        ),
        replace(made, sources=sources),
        "fleet",
        _SHOWN["hit_rate"][0],
        "traffic, policy",
    )


def _interval(result: StudyResult, policy: str, figure: str, cell: str, unit: float) -> Interval:
    low, high = result.interval(policy, figure, cell)
    return Interval(unit * result.mean(policy, figure, cell), unit * low, unit * high)
