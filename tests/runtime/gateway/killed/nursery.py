"""Starts gateways that die: loads all there is once, then forks `iemas serve` for each line `POINT COUNT` it is given.

A child kills itself with SIGKILL the COUNT-th time that it comes to a POINT; `never` is left to others. What it prints
comes out here, and when it has ended, `{"ended": STATUS}`.
"""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from mechanisms import find_mechanism
from runtime.accounts import database
from runtime.gateway import app, server  # noqa: F401  (loaded once, for all)
from runtime.gateway.door import clients  # noqa: F401
from runtime.gateway.operators import watching  # noqa: F401
from runtime.gateway.serving import engines  # noqa: F401
from runtime.rounds.dispatch.dispatcher import Dispatcher

#: Where a gateway dies; inside the transaction that holds or settles, and after it.
POINTS = ("hold", "held", "dispatch", "first-byte", "settle", "settled")


def arm(point: str, count: int) -> None:
    """Have this process die there."""
    left = [count]

    def die() -> None:
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def after(kind: Any, name: str, when: Callable[..., bool] = lambda *_: True) -> None:
        inner = getattr(kind, name)

        def wrapped(self: Any, *values: Any) -> Any:
            told = inner(self, *values)
            if when(*values):
                die()
            return told

        setattr(kind, name, wrapped)

    def writes(*words: str) -> Callable[..., bool]:
        return lambda statement, values: all(word in statement for word in words)

    if point in ("hold", "settle"):
        words = ("INSERT INTO holds",) if point == "hold" else ("INSERT INTO endings", "'settled'")
        for kind in (database.Sqlite, database.Postgres):
            after(kind, "change", writes(*words))
    elif point == "held":
        after(Dispatcher, "place")
    elif point == "dispatch":
        after(Dispatcher, "_send")
    elif point == "first-byte":
        after(Dispatcher, "_started")
    elif point == "settled":
        after(Dispatcher, "_finish")


def end_with_parent() -> None:
    """Nobody is left behind by a test that is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def main(file: str) -> None:
    """Fork for each line of standard input."""
    end_with_parent()
    from experiments import cli
    from experiments.commands.serving import serve

    # Audited in tests of its own; here it would be each gateway's longest part.
    serve.examined = lambda fleet, despite: find_mechanism("vcg")
    for line in sys.stdin:
        point, count = line.split()
        child = os.fork()
        if not child:
            end_with_parent()
            arm(point, int(count))
            sys.stdin.close()
            try:
                cli.app(["serve", file, "--port", "0", "--json"], standalone_mode=False)
            finally:
                sys.stdout.flush()
                os._exit(0)
        print(json.dumps({"pid": child}), flush=True)
        print(json.dumps({"ended": os.waitpid(child, 0)[1]}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
