"""One colour, dash and symbol per policy, the same in every report, distinguished by colour-blind readers too.

The auction's orange stands out. The others' colours were searched so that any two of the nine that a demonstration
shows differ by at least 23 (CIE 1976) to normal eyes and under full protanopia, deuteranopia and tritanopia (simulated
as in Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", IEEE
TVCG 2009), and by a contrast of about 2.4 from white and 3 from the dark page.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """Colour and dash of one policy."""

    colour: str
    dash: str
    symbol: str


_LOOKS = {
    "iemas": Look("#D9480F", "solid", "circle"),
    "paper-auction": Look("#A06458", "dashdot", "diamond"),
    "c-mu": Look("#705870", "dash", "pentagon"),
    "greedy": Look("#AC58F4", "longdash", "star"),
    "cache-aware-declining": Look("#7C1CF4", "dashdot", "hexagon"),
    "cache-aware": Look("#5668B0", "solid", "square"),
    "sticky": Look("#58ACD5", "dash", "triangle-up"),
    "cache-aware-best": Look("#F48864", "longdashdot", "cross"),
    "random": Look("#A2A39E", "dot", "x"),
    # Not among those that are shown unless asked for.
    "posted": Look("#BE9263", "dash", "diamond"),
    "least-loaded": Look("#93524A", "dot", "triangle-down"),
    "round-robin": Look("#75607A", "dashdot", "pentagon"),
}

#: For policies that we do not ship, in the order in which they ran.
_SPARE = (
    Look("#3F8F83", "longdash", "star"),
    Look("#C58BB4", "longdashdot", "hexagon"),
    Look("#7A8C3C", "dash", "cross"),
    Look("#6E7681", "dot", "bowtie"),
)

#: Agents are no policies: tints of one hue, light to dark.
_AGENTS = ("#BFD0DB", "#A0B7C6", "#819EB1", "#64869B", "#4B6E85", "#365769")

#: Error bars, reference lines and whatever else belongs to nobody; reads on white and on dark.
NEUTRAL = "#7D8590"

#: What should not be; no policy has it.
BAD = "#E03131"


def looks(policies: Sequence[str]) -> dict[str, Look]:
    """A look for each policy."""
    others = [policy for policy in policies if policy not in _LOOKS]
    spare = {policy: _SPARE[k % len(_SPARE)] for k, policy in enumerate(others)}
    return {policy: _LOOKS.get(policy) or spare[policy] for policy in policies}


def agent_colours(agents: int) -> list[str]:
    """Spread over the tints."""
    last = len(_AGENTS) - 1
    return [_AGENTS[round(k * last / max(agents - 1, 1)) if agents > 1 else 2] for k in range(agents)]
