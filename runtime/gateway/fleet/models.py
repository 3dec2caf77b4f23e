"""Which agents a model's name stands for, and the list of names at /v1/models."""

import json
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from runtime.gateway.fleet.config import Fleet
from runtime.gateway.fleet.contradictions import AUTO
from runtime.gateway.problems import Problem, unknown_model


@dataclass(frozen=True, slots=True)
class Models:
    """Names that clients may ask for, and who serves each; made from a fleet, never changed.

    A name is first the name of a model: all agents that serve it. Else it is a pool, whose members may serve different
    models: the auction decides between them. `auto` is the pool of all. Agents are numbered as in the fleet.

    Args:
        agents: the numbers of agents by name.
        kinds: whether a name is a model's or a pool's.
        created_s: what the list says of when each came to be; Unix time, the gateway's own start.
    """

    agents: dict[str, tuple[int, ...]]
    kinds: dict[str, Literal["model", "pool"]]
    created_s: int = 0
    tasks: tuple[frozenset[str], ...] = ()

    @classmethod
    def of(cls, fleet: Fleet, created_s: int = 0) -> "Models":
        """The names of a fleet: models in the order of agents, then pools, then `auto`."""
        agents: dict[str, tuple[int, ...]] = {}
        for j, agent in enumerate(fleet.agents):
            for name in dict.fromkeys(agent.names):
                agents[name] = (*agents.get(name, ()), j)
        kinds: dict[str, Literal["model", "pool"]] = dict.fromkeys(agents, "model")
        numbers = {agent.name: j for j, agent in enumerate(fleet.agents)}
        pools = {pool: tuple(sorted(numbers[name] for name in members)) for pool, members in fleet.pools.items()}
        pools[AUTO] = tuple(range(len(fleet.agents)))
        tasks = tuple(frozenset(agent.tasks) for agent in fleet.agents)
        return cls(agents | pools, kinds | dict.fromkeys(pools, "pool"), created_s, tasks)

    def resolve(self, name: str, task: str | None = None) -> tuple[int, ...]:
        """The numbers of the agents that may serve a request for this name, ascending.

        Raises:
            Problem: 404, no such name, or nobody behind it is there for the task.
        """
        if name not in self.agents:
            raise self._unknown(name)
        agents = self.agents[name]
        if task is None:
            return agents
        able = tuple(j for j in agents if task in self.tasks[j])
        if not able:
            raise unknown_model(f"no agent behind {name[:80]!r} is there to {task}; see `tasks` in the fleet's file")
        return able

    def listing(self) -> bytes:
        """The body of GET /v1/models."""
        return _json({"object": "list", "data": [self._card(name) for name in self.agents]})

    def card(self, name: str) -> bytes:
        """The body of GET /v1/models/NAME.

        Raises:
            Problem: 404, no such name.
        """
        self.resolve(name)
        return _json(self._card(name))

    def _card(self, name: str) -> dict[str, object]:
        return {
            "id": name,
            "object": "model",
            "created": self.created_s,
            "owned_by": "iemas",
            "iemas": {"kind": self.kinds[name], "agents": len(self.agents[name])},
        }

    def _unknown(self, name: str) -> Problem:
        near = get_close_matches(name[:200], self.agents, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "GET /v1/models lists what there is"
        return unknown_model(f"there is no model {name[:80]!r}; {hint}")


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
