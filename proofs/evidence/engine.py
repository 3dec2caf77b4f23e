"""What an engine is: it examines some properties over some scopes. `audit` asks the first one that accepts the pair."""

from collections.abc import Callable, Sequence
from typing import Protocol

from mechanisms import DirectMechanism
from proofs.claims.property import Property
from proofs.evidence.finding import Finding
from proofs.scopes.grid import Scope

#: Called with (done, total) steps of the slow part, at least once at its end.
Progress = Callable[[int, int], None]


class Engine(Protocol):
    """A way to find out. Several properties come at once, so that runs of the mechanism can be shared."""

    def accepts(self, prop: Property, scope: Scope) -> bool:
        """Whether this engine can examine the property over the scope."""
        ...

    def examine(
        self, mechanism: DirectMechanism, scope: Scope, properties: Sequence[Property], progress: Progress
    ) -> list[Finding]:
        """One finding per property, in order; counterexamples as found, not yet shrunk.

        Raises:
            AuditError: the mechanism answers the same market differently twice, or misbehaves.
        """
        ...
