"""A gateway in a process of its own, with an admin port, over simulated engines and one that says what it is told."""

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.accounts.holders import Holders
from tests.runtime.gateway.fuzzed.odd_engine import OddEngine

#: How many times as much is tried as in a run of the suite; beyond once, what is drawn is new each time.
TIMES = int(os.environ.get("IEMAS_FUZZ_TIMES", "1"))
ADMIN_KEY = "the-admin-key"
ROOT = "/iemas/admin/v1"
CHAT = "/v1/chat/completions"
FLEET = """
[server]
ledger = "{ledger}"
accounts = true
admin = {{ port = {port}, key = {{ env = "FUZZ_ADMIN_KEY" }} }}
[limits]
body_bytes = 100000
body_s = 5.0
max_tokens = 32
default_max_tokens = 16
[[agents]]
name = "small-a"
simulated = "smollm2-135m-cpu"
capacity = 64
prices = {{ fresh = 0.00001, cached = 0.000001, output = 0.00002 }}
serves = ["small"]
[[agents]]
name = "small-b"
simulated = "smollm2-135m-cpu"
capacity = 64
prices = {{ fresh = 0.00001, cached = 0.000001, output = 0.00002 }}
serves = ["small"]
[[agents]]
name = "odd-a"
url = "{url}"
model = "odd"
capacity = 64
prices = {{ fresh = 0.001, cached = 0.0001, output = 0.002 }}
serves = ["odd"]
[service_tiers]
flex = {{ worth = 0.2, delay_cost = 0.0 }}
"""


@dataclass
class Told:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Living:
    """Where it is, what opens it, what was said on its standard error until now."""

    url: str
    admin: str
    key: str
    engine: OddEngine
    errors: Path
    books: str

    def ask(
        self,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        *,
        method: str = "",
        headers: Mapping[str, str] | None = None,
        admin: bool = False,
        timeout: float = 30.0,
    ) -> Told:
        """One request; a mapping is sent as JSON."""
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        host = (self.admin if admin else self.url).rpartition("/")[2]
        key = ADMIN_KEY if admin else self.key
        own = {"authorization": f"Bearer {key}"} | ({} if raw is None else {"content-type": "application/json"})
        connection = http.client.HTTPConnection(host, timeout=timeout)
        try:
            connection.request(method or ("GET" if raw is None else "POST"), path, raw, own | dict(headers or {}))
            answer = connection.getresponse()
            told = {name.lower(): text for name, text in answer.getheaders()}
            return Told(answer.status, told, answer.read())
        finally:
            connection.close()

    def receipt(self, told: Told) -> dict[str, Any]:
        """What an answer's request came to."""
        found: dict[str, Any] = self.ask(f"/iemas/v1/receipts/{told.headers['x-request-id']}").json()
        return found

    def faults(self) -> str:
        """Stack traces that were logged: there are to be none."""
        said = self.errors.read_text(errors="replace")
        at = said.find("Traceback")
        return "" if at < 0 else said[max(0, at - 500) : at + 6000]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextmanager
def living(folder: Path) -> Iterator[Living]:
    """Such a gateway, until the end of the context."""
    books, file, port = str(folder / "books.db"), folder / "fleet.toml", free_port()
    with Holders(books, make=True) as holders:
        holders.create_account("alice", limit=None)
        key, _ = holders.create_key("alice", "laptop")
    with OddEngine() as engine, (folder / "errors").open("wb") as errors:
        file.write_text(FLEET.format(ledger=books, port=port, url=engine.url))
        command = [sys.executable, "-m", "experiments.cli", "serve", str(file), "--port", "0", "--json"]
        environment = os.environ | {"FUZZ_ADMIN_KEY": ADMIN_KEY}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, (folder / "errors").read_text()
            yield Living(json.loads(line)["url"], f"http://127.0.0.1:{port}", key, engine, folder / "errors", books)
        finally:
            process.terminate()
            process.communicate(timeout=30)
