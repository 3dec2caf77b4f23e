"""Where things are that files and expressions written by version 0.1.0 call by other names.

A counterexample is evidence, and evidence is kept: what an old file or expression names must still be found. New files
carry the names of today.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

#: Old module -> new module.
MODULES: dict[str, str] = {
    "allocation.flow": "allocation.exact.min_cost_flow",
    "allocation.hubs": "allocation.heuristic.ranges",
    "allocation.networks": "allocation.exact.networks",
    "allocation.programs": "allocation.exact.programs",
    "allocation.simple": "allocation.heuristic.simple",
    "mechanisms.affine": "mechanisms.rules.affine",
    "mechanisms.critical": "mechanisms.rules.critical",
    "mechanisms.hubs": "mechanisms.rules.hubs",
    "mechanisms.paper": "mechanisms.rules.paper",
    "mechanisms.pricing": "mechanisms.rules.pricing",
    "mechanisms.redistribution": "mechanisms.rules.redistribution",
    "mechanisms.sharing": "mechanisms.rules.sharing",
    "mechanisms.simple": "mechanisms.rules.simple",
    "mechanisms.two_sided": "mechanisms.rules.two_sided",
    "mechanisms.vcg": "mechanisms.rules.vcg",
    "proofs.appearances": "proofs.misreports.identity",
    "proofs.batches": "proofs.properties.split_batches",
    "proofs.bayes": "proofs.properties.bayesian",
    "proofs.budget": "proofs.properties.budget",
    "proofs.conversations": "proofs.rounds.conversations",
    "proofs.description": "proofs.symbols.description",
    "proofs.design": "proofs.payments.design",
    "proofs.deviations": "proofs.misreports.coalition",
    "proofs.fairness": "proofs.properties.fairness",
    "proofs.group": "proofs.properties.coalitions",
    "proofs.implementable": "proofs.payments.implementable",
    "proofs.lies": "proofs.misreports.misreport",
    "proofs.luck": "proofs.claims.execution_risk",
    "proofs.names": "proofs.properties.false_names",
    "proofs.obvious": "proofs.properties.obvious",
    "proofs.realised": "proofs.properties.realised",
    "proofs.supporting": "proofs.payments.supporting_prices",
    "proofs.two_sided": "proofs.properties.agents",
}

#: Module -> what `proofs` had of it, as NAME, or as OLD=NEW where it has another name now.
_HOMES: dict[str, str] = {
    "proofs.claims.execution_risk": "Luck=ExecutionRisk",
    "proofs.misreports.coalition": "AgentLie=AgentMisreport Coalition",
    "proofs.misreports.identity": "Elsewhere=OtherReports Identities=FalseNames Split Swap",
    "proofs.misreports.misreport": "Lie=Misreport",
    "proofs.payments.cycle": "Cycle cycle_gain",
    "proofs.payments.design": "Design DesignedMechanism",
    "proofs.payments.implementable": "WeaklyMonotone",
    "proofs.payments.supporting_prices": "SupportingPrices",
    "proofs.properties.agents": "AgentsRational EpsilonTruthful TruthfulAgents TruthfulBoth",
    "proofs.properties.bayesian": "BayesianTruthful InterimRational grid_prior",
    "proofs.properties.budget": "Approximation Balanced NoDeficitRealised",
    "proofs.properties.coalitions": "GroupTruthful",
    "proofs.properties.fairness": "Anonymous EnvyFree Monotone",
    "proofs.properties.false_names": "FalseNameProof",
    "proofs.properties.obvious": "ObviouslyTruthful",
    "proofs.properties.realised": "AgentsRationalRealised NoDeficitInAnyRun RationalRealised "
    "TruthfulAgentsRealised TruthfulRealised",
    "proofs.properties.split_batches": "SplitProof",
    "proofs.rounds.conversations": "Conversations",
    "proofs.rounds.truthful": "Gambit=MultiRoundDeviation gambit_gain=multi_round_gain",
    "proofs.symbols.description": "Charges",
    "proofs.ties.all_ties": "Irresolute=AllTies",
}

#: Old name in `proofs` -> (module, name).
NAMES: dict[str, tuple[str, str]] = {
    name.partition("=")[0]: (module, name.rpartition("=")[2])
    for module, names in _HOMES.items()
    for name in names.split()
}

#: Old kind of a deviation or parameter in JSON -> new kind.
KINDS: dict[str, str] = {
    "AgentLie": "AgentMisreport",
    "Elsewhere": "OtherReports",
    "Identities": "FalseNames",
    "Lie": "Misreport",
    "Luck": "ExecutionRisk",
}


#: Old keys of JSON objects, and old parameters of deviations -> new ones.
FIELDS: dict[str, str] = {"lie": "misreport", "lies": "misreports", "lying": "deviating"}


class _Moved(MetaPathFinder, Loader):
    """Finds a module under its old name, as a stand-in that has whatever the new one has."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in MODULES else None

    def exec_module(self, module: ModuleType) -> None:
        found = importlib.import_module(MODULES[module.__name__])
        module.__dict__["__getattr__"] = lambda name: getattr(found, name)


def install() -> None:
    """Have imports of old module names find the new ones, once."""
    if not any(isinstance(finder, _Moved) for finder in sys.meta_path):
        sys.meta_path.append(_Moved())


def moved_name(name: str) -> object:
    """What `proofs.NAME` was in version 0.1.0.

    Raises:
        AttributeError: nothing of that name.
    """
    if name not in NAMES:
        raise AttributeError(f"module 'proofs' has no attribute {name!r}")
    module, current = NAMES[name]
    found = getattr(importlib.import_module(module), current)
    if current not in ("Coalition", "OtherReports"):
        return found
    return lambda *arguments, **fields: found(*arguments, **{FIELDS.get(key, key): fields[key] for key in fields})


def with_todays_names(data: dict[str, Any]) -> dict[str, Any]:
    """A JSON object whose keys, and whose `kind`, are those of today; what it holds stays as it is."""
    renamed = {FIELDS.get(key, key): value for key, value in data.items()}
    if isinstance(renamed.get("kind"), str):
        renamed["kind"] = KINDS.get(renamed["kind"], renamed["kind"])
    return renamed
