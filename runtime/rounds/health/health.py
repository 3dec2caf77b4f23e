"""Whose fault was it? Engines that fail requests which others serve are left out for a while; bad requests fail alone.

A failure counts against an engine once its request was served elsewhere, at once if the engine says it is down. Of an
answer that breaks off in the middle, which nobody else can go on with, nobody knows whether the request was the cause,
however many bidders it happens to: they may be one. So the engine is asked, and only what it says counts. A
request that fails wherever it is tried has only itself to blame. An engine that is left out is tried again after a
pause, with one request at a time until it produces a token; the pause doubles as long as it goes on failing, and one
answer makes good for all. A busy one is let alone for as long as it asks for, which counts against nobody.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Failures in a row, of requests that others served, after which an engine is left out.
_BLAMES = 2
#: For which a busy engine is let alone at least, so that what it refused goes elsewhere.
_BUSY_PAUSE_S = 0.1
_FIRST_PAUSE_S = 1.0
#: Times that an engine may be left out, without an answer in between, until nobody waits for it: 7 seconds.
_HOPES = 3
_LONGEST_PAUSE_S = 60.0
#: Seconds for which an engine that went may come back before nobody waits for it: a small one starts in them.
_HOPE_S = 8.0


@dataclass(slots=True)
class _State:
    blames: int = 0
    pause_s: float = _FIRST_PAUSE_S
    out_until_s: float = float("-inf")
    #: Times it was left out since it last produced a token.
    outs: int = 0
    #: Whether it could not be reached: asking it tells when that is over.
    unreachable: bool = False
    since_s: float = 0.0
    retired: bool = False


class Health:
    """Which of M engines are in the market; `askable` are those that can be asked how they are (`Probing`)."""

    def __init__(self, agents: int, askable: Iterable[int] = ()) -> None:
        self._states = [_State() for _ in range(agents)]
        self._askable = frozenset(askable)
        #: Asks an engine how it is, now; `Probing` puts itself here.
        self.ask: Callable[[int], None] = lambda agent: None

    def join(self, *, askable: bool) -> None:
        """One engine more."""
        self._states.append(_State())
        if askable:
            self._askable |= {len(self._states) - 1}

    def retired(self, agent: int) -> bool:
        """Whether it takes no more requests."""
        return self._states[agent].retired

    def retire(self, agent: int) -> None:
        """It takes no more requests, for good."""
        self._states[agent].retired = True

    def alive(self, now_s: float) -> NDArray[np.bool_]:
        """(M,) who may be given requests."""
        up = np.ones(len(self._states), np.bool_)
        out = self.out(now_s)
        if out:
            up[out] = False
        return up

    def out(self, now_s: float) -> list[int]:
        """Who may not, in order."""
        return [
            j
            for j, state in enumerate(self._states)
            if state.out_until_s > now_s or state.retired or (state.unreachable and self.probed(j))
        ]

    def next_trial_s(self, now_s: float) -> float | None:
        """When the next engine that is out will be tried again, or is not to be waited for any more; None if never."""
        news = [
            state.since_s + _HOPE_S if self.probed(j) else state.out_until_s for j, state in enumerate(self._states)
        ]
        return min((at_s for at_s in news if at_s > now_s), default=None)

    def hopeful(self, agents: Iterable[int], now_s: float) -> bool:
        """Whether one of these engines has not been gone for seconds on end: worth waiting for, if all are out.

        Of those that can be asked it is known when they went; for others, trials are counted.
        """
        return any(self._hopeful(j, now_s) for j in agents)

    def _hopeful(self, agent: int, now_s: float) -> bool:
        state = self._states[agent]
        if state.retired:
            return False
        if agent in self._askable:
            return not state.unreachable or now_s < state.since_s + _HOPE_S
        return state.outs <= _HOPES

    def on_trial(self, agent: int) -> bool:
        """Whether it was left out and has not produced a token since: it is given one request at a time."""
        return self._states[agent].outs > 0

    def began(self, agent: int) -> None:
        """It produced a first token."""
        state = self._states[agent]
        state.outs, state.unreachable = 0, False

    def down(self, agent: int, now_s: float, *, doubt: bool = False, unreachable: bool = False) -> None:
        """It is to be left out. Said again while it is out, by requests it had, that is no news.

        With `doubt` it may have died of the request, which others have failed before: it is left out no longer for it.
        """
        state = self._states[agent]
        if unreachable and not state.unreachable:
            state.unreachable, state.since_s = True, now_s
        if state.out_until_s > now_s:
            return
        state.out_until_s = now_s + (_FIRST_PAUSE_S if doubt else state.pause_s)
        state.blames = 0
        if not doubt:
            state.pause_s = min(2 * state.pause_s, _LONGEST_PAUSE_S)
            state.outs += 1

    def probed(self, agent: int) -> bool:
        """Whether to ask it how it is: it could not be reached, and is left out until it says that it is well."""
        state = self._states[agent]
        return agent in self._askable and state.unreachable and not state.retired

    def recovered(self, agent: int) -> None:
        """It says that it is well: it is on trial at once."""
        state = self._states[agent]
        if state.unreachable:
            state.unreachable = False
            state.out_until_s = float("-inf")

    def ailing(self, agent: int, now_s: float) -> bool:
        """It was asked and is not well: as if a trial had failed, if one is due. Whether that is news."""
        state = self._states[agent]
        news = not state.unreachable
        if news or state.out_until_s <= now_s:
            self.down(agent, now_s, unreachable=True)
        return news

    def busy(self, agent: int, pause_s: float, now_s: float) -> None:
        """It takes no more for so many seconds."""
        state = self._states[agent]
        state.out_until_s = max(state.out_until_s, now_s + min(max(pause_s, _BUSY_PAUSE_S), _LONGEST_PAUSE_S))

    def broke(self, agent: int) -> None:
        """An answer of it broke off: it is asked how it is, if it can be."""
        if agent in self._askable and not self._states[agent].retired:
            self.ask(agent)

    def served(self, agent: int, failed_before: Sequence[int], now_s: float) -> None:
        """It answered a request; those that had failed the same one are to blame."""
        state = self._states[agent]
        # Who is out while it answers what it had before is left out all the same: it was said to be down or busy since.
        self._states[agent] = _State(out_until_s=state.out_until_s, retired=state.retired)
        for other in failed_before:
            state = self._states[other]
            if other == agent or state.out_until_s > now_s:
                continue
            state.blames += 1
            if state.blames >= _BLAMES or state.outs:
                self.down(other, now_s)
