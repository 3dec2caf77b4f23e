"""The demonstration: audit a mechanism, then hold real dialogues with it and with other routers, and report."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from allocation import MICROS
from experiments.data import Corpus, arrivals, cache_folder, find_own, find_real, load, locate
from experiments.errors import AuditRefusedError, DatasetError, StudyError
from experiments.files import given_folders, named_folder
from experiments.results.made import made_here
from experiments.results.results import DemoResult
from experiments.routers.catalogue import SHOWN, find_policy, make_own, policies
from experiments.studies.latency import Recorder, save
from experiments.worlds.fleets import FLEET, PricedEngines, simulated_fleet
from experiments.worlds.presets import Preset, find_preset
from experiments.worlds.running.run import PolicyRun, run_policy
from experiments.worlds.running.watch import Contradiction, Watched
from experiments.worlds.traffic.dialogues import dialogue_traffic
from experiments.worlds.traffic.traffic import Traffic
from mechanisms import DirectMechanism, find_mechanism, find_settlement
from prediction import TokenPrices
from proofs import SUITE, Report, audit
from runtime import Declined, Engine, Ledger, Policy, Served, calibration, running
from runtime.accounts.settling import require_per_request
from runtime.engines.simulated.virtual_time import run
from runtime.events import Subscriber
from runtime.policies.forecast import Forecaster
from runtime.policies.skill import PerQuestionSkill
from runtime.traces.recorder import Recorder as TraceRecorder
from runtime.traces.stories import End, Stories, Story

#: A mechanism that lacks one of these is not run at scale without `despite_audit`.
REQUIRED = ("truthful", "individually-rational", "no-deficit")

#: Called with what is being done and how many requests of how many are done with.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a demonstration runs; times in seconds.

    `data` holds names, files or folders (empty: the shipped dialogues and whatever real files are found); `dialogues`,
    `turns` and `context_words` cut each file; `rate` is how many dialogues begin per second; `slots` is an
    agent's capacity, None for its engine's own; `bidders` None is as many as the preset has. `policies` are names of
    `routers.catalogue` or yours, `predictor` makes your `Forecaster`, `preferences` draws your bidders. `settlement`
    turns what the auction decided into final charges and receipts; `preset` names preferences, prices and rounds.
    `books` keeps each run's ledger, what prediction learnt from, and a trace for `iemas replay` in files of their own
    below that folder.
    """

    mechanism: str = "vcg"
    allocator: str | None = None
    settlement: str = "on-prediction"
    preset: str = "differing"
    despite_audit: bool = False
    data: tuple[str, ...] = ()
    dialogues: int = 20
    turns: int = 12
    context_words: int = 400
    max_tokens: int = 48
    rate: float = 0.15
    think_time_s: float = 5.0
    bidders: int | None = None
    slots: int | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    policies: tuple[str, ...] = ()
    predictor: str | None = None
    preferences: str | None = None
    books: Path | None = None


def check(plan: Plan) -> None:
    """Refuse a plan that could not be run, before anything long begins.

    Raises:
        MechanismError, DatasetError, StudyError: naming what does not exist.
        EngineError: the settlement needs to see whole rounds.
    """
    find_corpora(plan)
    choose_policies(plan, find_mechanism(plan.mechanism, plan.allocator), seed=0)
    require_per_request(find_settlement(plan.settlement))
    chosen_preset(plan)


def examine(plan: Plan, progress: Callable[[int, int], None] | None = None) -> Report:
    """Audit the plan's mechanism over a suite of small scopes.

    Raises:
        AuditRefusedError: a required property is refuted, or was never examined, and the plan does not insist.
    """
    report = audit(plan.mechanism, SUITE, progress=progress, allocator=plan.allocator)
    broken = lacking(report)
    if broken and not plan.despite_audit:
        raise AuditRefusedError(report, broken)
    return report


def lacking(report: Report) -> list[str]:
    """The required properties that are not established."""
    return [name for name in REQUIRED if not report[name]]


def simulate(plan: Plan, report: Report, progress: Progress) -> DemoResult:
    """Run every policy and seed on simulated engines, in virtual time."""
    corpora = find_corpora(plan)
    runs = []
    against: list[Contradiction] = []
    for seed in plan.seeds:
        requests = make_workload(plan, corpora, seed)
        for policy in choose_policies(plan, report.subject.mechanism, seed):
            engines, prices = simulated_fleet(requests)
            watched = _watched(plan, policy, seed, report)
            runs.append(run(_simulate(plan, policy, requests, engines, prices, seed, progress, watched), virtual=True))
            against += watched.audited(REQUIRED)
    described = tuple(
        f"{agent.name}: simulated, {calibration(agent.calibration)}; assumed skill {agent.skill:.0%}" for agent in FLEET
    )
    return _result(plan, report, corpora, described, runs, against, simulated=True)


def serve(plan: Plan, report: Report, fleet: PricedEngines, progress: Progress) -> DemoResult:
    """Run every policy on real engines, one after the other, with empty caches each."""
    corpora = find_corpora(plan)
    runs, described, watches = run(_serve_all(plan, report, corpora, fleet, progress), virtual=False)
    against = [one for watched in watches for one in watched.audited(REQUIRED)]
    return _result(plan, report, corpora, described, runs, against, simulated=False)


async def _serve_all(
    plan: Plan, report: Report, corpora: Sequence[Corpus], fleet: PricedEngines, progress: Progress
) -> tuple[list[PolicyRun], tuple[str, ...], list[Watched]]:
    runs, watches = [], []
    engines, prices = fleet
    async with running(engines) as infos:
        for seed in plan.seeds:
            requests = make_workload(plan, corpora, seed)
            for policy in choose_policies(plan, report.subject.mechanism, seed):
                for engine in engines:
                    await engine.reset_cache()
                watches.append(_watched(plan, policy, seed, report))
                runs.append(await _serve(plan, policy, requests, engines, prices, seed, progress, watches[-1]))
        described = tuple(
            f"{engine.name}: {info.model} on vLLM, {info.cache_blocks} blocks of {info.block_size} tokens"
            for engine, info in zip(engines, infos, strict=True)
        )
    return runs, described, watches


async def _simulate(
    plan: Plan,
    policy: Policy,
    requests: Traffic,
    engines: Sequence[Engine],
    prices: Sequence[TokenPrices],
    seed: int,
    progress: Progress,
    watched: Watched,
) -> PolicyRun:
    async with running(engines):
        return await _serve(plan, policy, requests, engines, prices, seed, progress, watched)


async def _serve(
    plan: Plan,
    policy: Policy,
    requests: Traffic,
    engines: Sequence[Engine],
    prices: Sequence[TokenPrices],
    seed: int,
    progress: Progress,
    watched: Watched,
) -> PolicyRun:
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        progress(f"{policy.name}, seed {seed}", done, requests.turns)

    preset = chosen_preset(plan)
    # A policy of somebody else's may be called anything.
    name = f"{quote(policy.name, safe=', ')}-{seed}"
    path = ":memory:" if plan.books is None else plan.books / f"{name}.sqlite"
    infos = [await engine.start() for engine in engines]
    charged = list(prices) if preset.prices is None else [preset.prices] * len(engines)
    rounds = preset.rounds(plan.slots)
    recorder = Recorder([info.model for info in infos], prices, [info.slots for info in infos])
    subscribers: list[Subscriber] = [recorder]
    with Ledger(path) as ledger, ExitStack() as stack:
        if plan.books is not None:
            serves = list(zip([engine.name for engine in engines], infos, charged, strict=True))
            written = TraceRecorder(plan.books / f"{name}.trace.jsonl", policy.name, rounds, _told, lambda: serves)
            stack.callback(written.close)
            subscribers.append(Stories([written]))
        finished = await run_policy(
            policy,
            requests,
            engines,
            charged,
            seed=seed,
            rounds=rounds,
            ledger=ledger,
            settlement=find_settlement(plan.settlement),
            progress=count,
            watch=watched,
            subscribers=subscribers,
        )
    if plan.books is not None and recorder.trace:
        save(recorder.trace, plan.books / f"{name}.latency.jsonl")
    return finished


def _told(story: Story, end: End) -> tuple[int, str]:
    """What a trace says that a client was told."""
    if isinstance(end, Declined):
        return 402, end.code
    return (200, "ok") if isinstance(end, Served) else (502, "engine_failed")


def find_corpora(plan: Plan) -> list[Corpus]:
    """The plan's dialogues, cut as it says, under titles that say how they were cut.

    Raises:
        DatasetError: a name, file or folder holds no dialogues.
    """
    paths, _ = find_files(plan)
    corpora = [load(path).first(plan.dialogues).shortened(plan.turns) for path in paths]
    return [
        corpus.capped(plan.context_words)
        if any(len(one.context.split()) > plan.context_words for one in corpus.dialogues)
        else corpus
        for corpus in corpora
    ]


def find_files(plan: Plan) -> tuple[list[Path], list[str]]:
    """The files that the plan means, each once, and a sentence for each that was passed over.

    Raises:
        DatasetError: as `find_corpora`.
    """
    named = named_folder()
    if not plan.data:
        nowhere = [f"IEMAS_DATASETS={named} is no folder"] if named and not Path(named).is_dir() else []
        folders = given_folders()
        try:
            folders.insert(0, cache_folder())
        except DatasetError as error:
            nowhere.append(f"no fetched files are looked for: {error}")
        return [locate("shipped"), *find_real(folders)], nowhere
    found: dict[Path, str] = {}
    remarks = []
    for name in plan.data:
        # A name that ships is not to be shadowed by an output folder of the same name.
        paths, passed = ([locate(name)], []) if name == "shipped" or not Path(name).is_dir() else find_own(name)
        remarks += passed
        for path in paths:
            if path.resolve() in found:
                remarks.append(f"{path} is named a second time, and counts once")
            found.setdefault(path.resolve(), name)
    return list(found), remarks


def make_workload(plan: Plan, corpora: Sequence[Corpus], seed: int) -> Traffic:
    """Who talks about what, and when: the same for every policy."""
    dialogues = sum(len(corpus.dialogues) for corpus in corpora)
    schedule = arrivals(dialogues, rate_per_s=plan.rate, think_time_s=plan.think_time_s, seed=seed)
    return dialogue_traffic(
        corpora,
        schedule,
        bidders=plan.bidders or chosen_preset(plan).bidders,
        preferences=chosen_preset(plan).draw,
        max_tokens=plan.max_tokens,
        seed=seed,
    )


def choose_policies(plan: Plan, mechanism: DirectMechanism, seed: int) -> list[Policy]:
    """The auction with the audited mechanism, then what it is compared with; or those that the plan names.

    Raises:
        StudyError: the plan names a policy or a predictor that does not exist, or two of one name.
    """
    known = policies(mechanism, find_forecaster(plan.predictor))
    chosen = [find_policy(name, known)(seed) for name in plan.policies or SHOWN]
    names = [policy.name for policy in chosen]
    if len(set(names)) < len(names):
        raise StudyError(f"policies are called {', '.join(names)}; give each a name of its own")
    return chosen


def find_forecaster(name: str | None) -> Callable[[], Forecaster]:
    """What makes the auction's forecasts: the shipped one, or yours, such as `mine:Model`, anew for each run.

    `by-question` is the shipped one that also learns which questions a model gets right.

    Raises:
        StudyError: there is no such class or function, or what it makes is no forecaster.
    """
    if name is None:
        return Forecaster
    if name == "by-question":
        return lambda: Forecaster(PerQuestionSkill)
    make_own(name, ("attach", "look", "note", "notice"), "forecaster (see runtime.policies.forecast)")
    return lambda: make_own(name, (), "forecaster")  # type: ignore[return-value]


def chosen_preset(plan: Plan) -> Preset:
    """The plan's preset, with your bidders where it names them.

    Raises:
        StudyError: there is no such preset or function.
    """
    return find_preset(plan.preset, plan.preferences)


def _watched(plan: Plan, policy: Policy, seed: int, report: Report) -> Watched:
    budget = round(getattr(policy, "budget", 0) * MICROS)
    return Watched(policy.name, seed, report.subject.mechanism, plan.despite_audit, budget)


def _result(
    plan: Plan,
    report: Report,
    corpora: Sequence[Corpus],
    engines: tuple[str, ...],
    runs: Sequence[PolicyRun],
    against: Sequence[Contradiction],
    *,
    simulated: bool,
) -> DemoResult:
    settings = {
        "dialogues begin": f"{plan.rate:g} per second (Poisson)",
        "think time": f"{plan.think_time_s:g} s",
        "bidders": str(plan.bidders or chosen_preset(plan).bidders),
        "slots per agent": "as many as its engine has" if plan.slots is None else str(plan.slots),
        "settlement": plan.settlement,
        "longest answer": f"{plan.max_tokens} tokens",
        "preferences": chosen_preset(plan).description,
        "seeds": ", ".join(map(str, plan.seeds)),
    }
    return DemoResult(
        mechanism=str(report.subject),
        audit=report,
        despite_audit=bool(lacking(report)),
        workload="; ".join(corpus.title for corpus in corpora),
        settings=settings,
        engines=engines,
        simulated=simulated,
        runs=tuple(runs),
        made=replace(made_here(), seeds=plan.seeds, sources={one.title: one.sha256 for one in corpora}),
        contradictions=tuple(against),
    )
