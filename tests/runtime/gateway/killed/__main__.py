"""python -m tests.runtime.gateway.killed --kills 200 [--postgres]; --soak 600 kills engines instead, for so long."""

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.runtime.accounts.databases import database, server
from tests.runtime.gateway.killed.harness import run
from tests.runtime.gateway.killed.soak import soak

parser = argparse.ArgumentParser(description="Kill a gateway under load, and audit its books after each death.")
parser.add_argument("--kills", type=int, default=200)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--postgres", action="store_true", help="books in PostgreSQL, which is started for it")
parser.add_argument("--soak", type=float, metavar="SECONDS", help="load for so long while engines die, not the gateway")
asked = parser.parse_args()
with ExitStack() as stack:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    if asked.soak:
        soaked = soak(folder, asked.soak, asked.seed)
        print(f"{asked.soak:.0f} s, {soaked.deaths} deaths of engines; clients were told", dict(soaked.answers))
        print(f"{soaked.settled} requests settled, {soaked.released} holds released; the audit passed")
        print(f"memory {soaked.memory[0]:.0f} MiB at first, {soaked.memory[-1]:.0f} at last, {soaked.grown():+.1f} MiB")
        print(f"from its second quarter to its last; {soaked.cpu_s:.0f} s of CPU time")
        sys.exit()
    where = str(folder / "books.db")
    if asked.postgres:
        where = stack.enter_context(database(stack.enter_context(server())))
    began = time.monotonic()
    tally = run(folder, where, asked.kills, asked.seed)
    print(f"{asked.kills} deaths in {time.monotonic() - began:.0f} s:", dict(tally.deaths))
    print("clients were told", dict(tally.answers))
    print(f"{tally.settled} requests settled, {tally.released} holds released; every audit passed")
