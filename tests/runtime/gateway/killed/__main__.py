"""python -m tests.runtime.gateway.killed --kills 200 [--postgres]."""

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.runtime.accounts.databases import database, server
from tests.runtime.gateway.killed.harness import run

parser = argparse.ArgumentParser(description="Kill a gateway under load, and audit its books after each death.")
parser.add_argument("--kills", type=int, default=200)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--postgres", action="store_true", help="books in PostgreSQL, which is started for it")
asked = parser.parse_args()
with ExitStack() as stack:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    where = str(folder / "books.db")
    if asked.postgres:
        where = stack.enter_context(database(stack.enter_context(server())))
    began = time.monotonic()
    tally = run(folder, where, asked.kills, asked.seed)
    print(f"{asked.kills} deaths in {time.monotonic() - began:.0f} s:", dict(tally.deaths))
    print("clients were told", dict(tally.answers))
    print(f"{tally.settled} requests settled, {tally.released} holds released; every audit passed")
