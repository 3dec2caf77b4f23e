"""The engines of a fleet's file: servers that we launch, and servers at URLs, which may be down as we start."""

from collections.abc import Callable, Mapping
from pathlib import Path

from runtime.engines.engine import Engine
from runtime.engines.openai.answer import Limits
from runtime.engines.openai.engine import OpenAIEngine
from runtime.engines.simulated.engine import SimulatedEngine
from runtime.engines.simulated.shape import EngineShape
from runtime.engines.simulated.step_time import calibration
from runtime.engines.vllm.engine import VllmEngine
from runtime.engines.vllm.process import ServerOptions
from runtime.engines.vllm.publishing import Publishing, Sockets
from runtime.gateway.fleet.config import Agent, Fleet
from runtime.gateway.fleet.file import read_secret
from runtime.models import CATALOGUE, fetch

#: What a simulated engine answers to everything.
SAID = "This answer is simulated: it takes the time that a real one would, and no model was asked."


def make_engines(
    fleet: Fleet, *, logs: Path | None = None, progress: Callable[[str], None] = lambda line: None
) -> list[Engine]:
    """An engine for each agent of a fleet, in its order; none is started.

    Args:
        fleet: as checked.
        logs: a folder for `NAME.log` of each server that is launched.
        progress: told about models that are fetched and servers that start, a line each.

    Raises:
        ServingError: a key or a model is not where the file says.
    """
    return [make_engine(fleet, j, logs=logs, progress=progress) for j in range(len(fleet.agents))]


def engine_limits(fleet: Fleet) -> Limits:
    """For how long an engine may be silent, in the file's words."""
    limits = fleet.limits
    return Limits(
        connect_s=limits.connect_s,
        first_token_s=limits.first_byte_s,
        idle_s=limits.idle_s,
        total_s=limits.request_s,
    )


def placed(fleet: Fleet, servers: Mapping[str, str]) -> Fleet:
    """A fleet whose servers of these names run already, at these addresses."""
    agents = []
    for agent in fleet.agents:
        url = servers.get(agent.name)
        if url is None:
            agents.append(agent)
        else:
            capacity = agent.capacity or ServerOptions().max_num_seqs
            own = {"url": url, "serves": agent.names, "model": None, "port": None, "flags": (), "capacity": capacity}
            agents.append(agent.model_copy(update=own))
    return fleet.model_copy(update={"agents": tuple(agents)})


def make_engine(
    fleet: Fleet, j: int, *, logs: Path | None = None, progress: Callable[[str], None] = lambda line: None
) -> Engine:
    """The engine of one agent; as `make_engines`.

    Raises:
        ServingError: a key or a model is not where the file says.
    """
    agent = fleet.agents[j]
    if not agent.kv_events:
        return _plain(agent, f"agents[{j}]", engine_limits(fleet), logs, progress)
    sockets = Sockets(agent.kv_events, agent.kv_replay) if isinstance(agent.kv_events, str) else Sockets.fresh()
    if agent.url is None:
        agent = agent.model_copy(update={"flags": (*agent.flags, *sockets.flags())})
    return Publishing(_plain(agent, f"agents[{j}]", engine_limits(fleet), logs, progress), sockets)


def _plain(agent: Agent, at: str, limits: Limits, logs: Path | None, progress: Callable[[str], None]) -> Engine:
    if agent.simulated is not None:
        shape = EngineShape() if agent.capacity is None else EngineShape(max_num_seqs=agent.capacity)
        return SimulatedEngine(agent.name, lambda request: SAID, calibration(agent.simulated), shape)
    if agent.url is not None:
        key = None if agent.key is None else read_secret(agent.key, f"{at}.key")
        return OpenAIEngine(
            agent.name, agent.url, key, model=agent.model, slots=agent.capacity or 1, limits=limits, patient=True
        )
    assert agent.model is not None
    return VllmEngine.launch(
        agent.name,
        _model(agent.model, progress),
        options=ServerOptions(extra=agent.flags),
        log=None if logs is None else logs / f"{agent.name}.log",
        progress=lambda seconds, line: progress(f"{agent.name}: {seconds:.0f} s: {line[-100:]}"),
        limits=limits,
        port=agent.port,
        slots=agent.capacity,
    )


def _model(name: str, progress: Callable[[str], None]) -> str | Path:
    """A catalogue's model is fetched if need be; any other name is a folder or a hub's."""
    if name not in {package.name for package in CATALOGUE}:
        return name
    return fetch(name, progress=lambda doing, fraction: progress(f"model {name}: {doing}"))
