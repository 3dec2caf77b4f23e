"""Streams of first tokens and completions from simulated engines, as a router would see them.

Conversations arrive as a Poisson process; each turn extends the one before by the answer and a new question, so its
prefix is cached where the conversation was served last. The router keeps to `slots` requests an engine, prefers the
engine that served the conversation, and sends several at once where several wait.
"""

import asyncio
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from prediction import AgentState, Features, Measured, Pending, PrefixIndex, TokenPrices
from runtime.engines.simulated import virtual_time
from runtime.engines.simulated.engine import SimulatedEngine
from runtime.engines.simulated.shape import EngineShape
from runtime.engines.simulated.step_time import StepTime, calibration, calibrations

BLOCK = 16


@dataclass(frozen=True, slots=True)
class Load:
    """`rate` of turns a second over all engines, at most `slots` assigned to each, `depth` sent without first token."""

    rate: float
    slots: int
    depth: int | None = None


#: Of four engines, two each of the calibrations that ship: lightly used, half, nearly fully, and more than they can do.
LOADS = {"light": Load(0.5, 4), "medium": Load(1.0, 4), "heavy": Load(1.5, 4), "saturated": Load(2.5, 16)}
#: The same saturation, but no engine holds more than one, or two, without a first token.
LOADS |= {"saturated, depth 1": Load(2.5, 16, 1), "saturated, depth 2": Load(2.5, 16, 2)}


@dataclass(frozen=True, slots=True)
class Assigned:
    """A request was given to an agent; everything that a predictor may see, just before."""

    name: str
    agent: int
    now_s: float
    states: tuple[AgentState, ...]
    features: Features


@dataclass(frozen=True, slots=True)
class Sent:
    """It left the router's line, beside so many that are decoding; at once unless the engine holds enough."""

    name: str
    agent: int
    now_s: float
    pending: Pending
    decoding: int


@dataclass(frozen=True, slots=True)
class FirstToken:
    name: str
    agent: int
    now_s: float


@dataclass(frozen=True, slots=True)
class Finished:
    name: str
    agent: int
    now_s: float
    row: dict[str, float]
    measured: Measured


Event = Assigned | Sent | FirstToken | Finished


@dataclass(slots=True)
class Stream:
    models: list[str]
    prices: list[TokenPrices]
    events: list[Event] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class NoisyStepTime(StepTime):
    """Steps that take by chance more or less than a linear model says: times a lognormal factor."""

    noise: float = 0.0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def seconds(self, prompt_tokens: int, sequences: int, context_tokens: int, attention_pairs: int = 0) -> float:
        expected = StepTime.seconds(self, prompt_tokens, sequences, context_tokens, attention_pairs)
        return expected * float(self.rng.lognormal(0.0, self.noise))


def stream(load: Load, count: int, seed: int = 0, noise: float = 0.0) -> Stream:
    """`count` requests under this load on two engines of each calibration that ships, in order of their moments.

    `noise` is the standard deviation of the logarithm of a step's duration: the calibrations' own error is about .07.
    """
    steps: list[StepTime] = [
        NoisyStepTime(**asdict(calibration(name)), noise=noise, rng=np.random.default_rng([seed, k]))
        for name in calibrations()
        for k in range(2)
    ]
    return virtual_time.run(_Router(load, count, seed, steps).serve(), virtual=True)


class _Router:
    def __init__(self, load: Load, count: int, seed: int, steps: list[StepTime]) -> None:
        self.load, self.count, self.rng = load, count, np.random.default_rng(seed)
        fastest = min(step.prompt_token_s for step in steps)
        self.prices = [
            TokenPrices(fresh, fresh / 10, fresh * 3)
            for fresh in (0.001 * (step.prompt_token_s / fastest) ** 0.5 for step in steps)
        ]
        self.engines = [
            SimulatedEngine(f"{j}", lambda request: "", step, EngineShape(block_size=BLOCK))
            for j, step in enumerate(steps)
        ]
        self.stream = Stream([step.fitted_to for step in steps], self.prices)
        agents = len(steps)
        self.index = PrefixIndex(agents, BLOCK, capacity_blocks=2047)
        self.pending: list[dict[str, Pending]] = [{} for _ in range(agents)]
        self.inflight = np.zeros(agents, int)
        self.stepped = [-np.inf] * agents
        self.turns: list[dict[str, asyncio.Event]] = [{} for _ in range(agents)]
        self.home: dict[int, int] = {}
        self.waiting: list[tuple[int, int, list[int], int]] = []
        self.dialogues: dict[int, tuple[int, list[int]]] = {}
        self.changed = asyncio.Event()

    async def serve(self) -> Stream:
        for engine in self.engines:
            await engine.start()
        arrivals = asyncio.create_task(self.arrive())
        running: set[asyncio.Task[None]] = set()
        for k in range(self.count):
            while not (self.waiting and (self.inflight < self.load.slots).any()):
                self.changed.clear()
                await self.changed.wait()
            running.add(self.dispatch(f"r{k}"))
        arrivals.cancel()
        await asyncio.gather(*running)
        for engine in self.engines:
            await engine.stop()
        return self.stream

    async def arrive(self) -> None:
        """Turns of dialogues, at most 60 of them alive; a new one now and then in place of an old."""
        started = 0
        while True:
            await asyncio.sleep(float(self.rng.exponential(1.0 / self.load.rate)))
            alive = list(self.dialogues)
            if len(alive) < 12 or self.rng.random() < 0.25:
                dialogue, started = started, started + 1
                turn, text = 0, self.words(int(self.rng.lognormal(4.6, 0.7)) + 20)
            elif alive:
                dialogue = alive[int(self.rng.integers(len(alive)))]
                turn, text = self.dialogues.pop(dialogue)
                text = text + self.words(int(self.rng.integers(10, 80)))
            self.waiting.append((dialogue, turn, text, int(self.rng.choice([32, 64, 128]))))
            self.changed.set()

    def words(self, count: int) -> list[int]:
        return self.rng.integers(1, 30_000, count).tolist()

    def dispatch(self, name: str) -> "asyncio.Task[None]":
        dialogue, turn, text, most = self.waiting.pop(0)
        now = asyncio.get_running_loop().time()
        free = np.flatnonzero(self.inflight < self.load.slots)
        home = self.home.get(dialogue, -1)
        least = free[self.inflight[free] == self.inflight[free].min()]
        j = home if home in free and self.rng.random() < 0.7 else int(self.rng.choice(least))
        self.home[dialogue] = j
        cached = self.index.match(text)
        states = tuple(
            AgentState(tuple(self.pending[k].values()), int(self.inflight[k]) - len(self.pending[k]), self.stepped[k])
            for k in range(len(self.engines))
        )
        backlog = np.array([sum(one.uncached for one in mine.values()) for mine in self.pending])
        features = Features(
            np.full((1, len(cached)), len(text)), cached[None, :], np.array([most]), np.array([turn]),
            self.inflight.copy(), np.full(len(cached), self.load.slots), backlog,
        )  # fmt: skip
        self.stream.events.append(Assigned(name, j, now, states, features))
        self.pending[j][name] = Pending(len(text), int(cached[j]))
        self.turns[j][name] = asyncio.Event()
        self.inflight[j] += 1
        self.send(j)
        length = int(np.clip(self.rng.lognormal(np.log(28 + 8 * j), 0.5), 1, most))
        row = features.row(0, j)
        return asyncio.create_task(self.one(name, j, dialogue, turn, text, self.words(length), row))

    def send(self, j: int) -> None:
        """Send from the line what the engine may hold."""
        now = asyncio.get_running_loop().time()
        mine = self.pending[j]
        for name, turn in list(self.turns[j].items()):
            if self.load.depth is not None and len(mine) - len(self.turns[j]) >= self.load.depth:
                return
            del self.turns[j][name]
            mine[name] = replace(mine[name], sent_s=now)
            self.stream.events.append(Sent(name, j, now, mine[name], int(self.inflight[j]) - len(mine)))
            turn.set()

    async def one(
        self, name: str, j: int, dialogue: int, turn: int, text: list[int], answer: list[int], row: dict[str, float]
    ) -> None:
        loop = asyncio.get_running_loop()
        if name in self.turns[j]:
            await self.turns[j][name].wait()

        def first() -> None:
            self.pending[j].pop(name)
            self.stepped[j] = loop.time()
            self.stream.events.append(FirstToken(name, j, loop.time()))
            self.send(j)

        done = await self.engines[j].generate_tokens(text, answer, name=name, first_token=first)
        self.inflight[j] -= 1
        self.index.insert(j, done.token_ids)
        cost = self.prices[j].cost(len(text), done.cached_tokens, len(answer))
        measured = Measured(done.first_token_s, cost, None, len(answer))
        self.stream.events.append(Finished(name, j, loop.time(), row, measured))
        if len(text) + len(answer) < 900:
            self.dialogues[dialogue] = (turn + 1, text + answer)
        self.changed.set()
