"""Who may look at what an operator is shown."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from runtime.gateway.app import Gateway
from runtime.gateway.operators.watching import Watching
from runtime.metrics.feed import MOST_OF_ONE
from tests.runtime.gateway.fakes import Fake
from tests.runtime.gateway.fleets import fleet
from tests.runtime.gateway.simulated import Asked, ask

HOST = ((b"host", b"localhost:8080"),)


def gateway(**tables: Any) -> Gateway:
    made = fleet(**tables)
    return Gateway(made, Fake(), Watching(made).admin)


def look(app: Gateway, path: str = "/metrics", **how: Any) -> tuple[int, bytes]:
    answer = asyncio.run(ask(app, path, **{"headers": HOST} | how))
    return answer.status, answer.body


def test_metrics_are_shown_to_this_machine() -> None:
    status, body = look(gateway())
    assert status == 200 and b'vllm:num_requests_running{agent="small",model_name="tiny"} 0.0' in body
    assert look(gateway(), method="POST")[0] == 405


@pytest.mark.parametrize(
    ("client", "host", "status"),
    [
        ("127.0.0.1", b"localhost", 200),
        ("::1", b"[::1]:8080", 200),
        ("127.0.0.1", b"127.0.0.1:80", 200),
        ("10.0.0.9", b"localhost", 403),
        ("127.0.0.1", b"evil.example:8080", 403),
        ("127.0.0.1", b"", 403),
    ],
)
def test_without_keys_nobody_else_may_look(client: str, host: bytes, status: int) -> None:
    assert look(gateway(), client=client, headers=((b"host", host),))[0] == status


def test_with_keys_a_key_is_needed(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sesame\n")
    app = gateway(keys=[{"name": "alice", "key": {"file": str(tmp_path / "key")}}])
    assert look(app)[0] == 401
    assert look(app, headers=(*HOST, (b"authorization", b"Bearer wrong")))[0] == 401
    assert look(app, path="/metrics?key=sesame")[0] == 401
    status, body = look(app, client="10.0.0.9", headers=((b"authorization", b"Bearer sesame"),))
    assert status == 200 and b"iemas_arrived_total 0.0" in body


def test_without_an_admin_there_are_no_such_paths() -> None:
    assert look(Gateway(fleet(), Fake()))[0] == 404


def test_one_account_listens_in_so_many_places_however_many_keys_it_has(tmp_path: Path) -> None:
    keys = []
    for name in ("mallory-1", "mallory-2", "alice"):
        (tmp_path / name).write_text(name)
        keys.append({"name": name, "account": name.partition("-")[0], "key": {"file": str(tmp_path / name)}})
    app = gateway(keys=keys)

    def bearer(name: str) -> tuple[tuple[bytes, bytes], ...]:
        return (*HOST, (b"authorization", f"Bearer {name}".encode()))

    async def story() -> list[int]:
        names = [f"mallory-{k % 2 + 1}" for k in range(MOST_OF_ONE + 3)] + ["alice"]
        answers = [Asked() for _ in names]
        asked = [
            asyncio.create_task(ask(app, "/iemas/v1/events", headers=bearer(name), seen=answer))
            for name, answer in zip(names, answers, strict=True)
        ]
        while not all(answer.status for answer in answers):
            await asyncio.sleep(0)
        app.drain()
        await asyncio.gather(*asked)
        return [answer.status for answer in answers]

    assert asyncio.run(story()) == [200] * MOST_OF_ONE + [503] * 3 + [200]
