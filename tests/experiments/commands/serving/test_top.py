"""`iemas top` against a gateway that runs, and against what is none."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.commands.serving.top import line, shown, states
from experiments.errors import StudyError
from tests.runtime.gateway.simulated import CHAT, ask, chat
from tests.runtime.gateway.sockets import listening


def test_it_shows_how_a_gateway_stands() -> None:
    async def main() -> None:
        async with listening() as (url, gateway, _):
            for k in range(3):
                assert (await ask(gateway, CHAT, chat(f"hi {k}", stream=True, iemas={"worth": 5000}))).status == 200
            await asyncio.sleep(0.15)
            shown = await asyncio.to_thread(CliRunner().invoke, app, ["top", url, "--once"])
            assert shown.exit_code == 0, shown.output
            for word in ("3 requests, 3 served", "● small", "● big", "KV hits", "first token", "0 too_low"):
                assert word in shown.stdout
            plain = await asyncio.to_thread(CliRunner().invoke, app, ["top", url, "--once", "--json"])
            [told] = plain.stdout.splitlines()
            assert json.loads(told)["totals"]["served"] == 3 and len(json.loads(told)["agents"]) == 2
            more = await asyncio.to_thread(
                lambda: [state for state, _ in zip(states(url, None), range(3), strict=False)]
            )
            assert len(more[-1]["points"]) == len(more[0]["points"]) + 2

    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_key_is_taken_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sesame\n")

    async def main() -> None:
        async with listening(keys=[{"name": "alice", "key": {"file": str(tmp_path / "key")}}]) as (url, _, _2):
            with pytest.raises(StudyError, match="asks for a key"):
                await asyncio.to_thread(lambda: next(states(url, None)))
            run = await asyncio.to_thread(
                lambda: CliRunner().invoke(app, ["top", url, "--once"], env={"IEMAS_KEY": "sesame"})
            )
            assert run.exit_code == 0, run.output

    asyncio.run(asyncio.wait_for(main(), 30))


def test_what_is_no_gateway_is_one_line() -> None:
    for url in ("http://127.0.0.1:1", "nowhere", "http://"):
        with pytest.raises(StudyError, match="cannot be reached") as caught:
            next(states(url, None))
        assert "\n" not in str(caught.value)


def test_the_course_of_a_figure() -> None:
    assert line([0, 1, None, 4]) == "▁▃ █"
    assert line([None, 0.0, 0.0]) == " ▁▁" and line([]) == ""


@pytest.mark.parametrize("width", [80, 100, 140])
def test_it_fits_a_terminal(width: int) -> None:
    from io import StringIO

    from rich.console import Console

    figures = {"running": 16, "waiting": 12, "served": 123_456, "failed": 1234, "hit": 0.713, "wait": 12.34}
    figures |= {"latency_error": 0.423, "price": 0.01234, "charges": 123_456.7, "up": False}
    fields = ("rounds", "matches", "declined", "price", "hit", "said_hit", "wait_p50", "wait_p95", "running", "waiting")
    totals = {"arrived": 1_234_567, "served": 1_234_000, "failed": 567, "abandoned": 12, "surplus": 1234.5}
    totals |= {"declined": {"too_low": 1, "late": 2, "no_room": 3}}  # type: ignore[dict-item]
    state = {
        "points": [dict.fromkeys(fields, 123.4)] * 60,
        "totals": totals,
        "agents": [{"name": name} | figures for name in ("qwen-coder-0.5b", "smollm2-135m-on-the-second-machine")],
    }
    out = StringIO()
    Console(file=out, width=width).print(shown("http://127.0.0.1:8080", state, width))
    lines = out.getvalue().splitlines()
    rows = [one for one in lines if "●" in one]
    assert max(map(len, lines)) <= width and len(rows) == 2, "a row is a line"
    for row in rows:
        for whole in ("16", "12", "123,456", "71.3 %", "12.34 s", "0.01234"):
            assert whole in row.split("●")[1], row
    assert "first token" in out.getvalue() and ("charges" in out.getvalue()) == (width >= 104)
