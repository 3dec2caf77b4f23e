"""`iemas serve` as a process: its address, its signals, its end."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from typer.testing import CliRunner

from experiments.cli import app

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX systems have them")

FLEET = """
[server]
port = {port}
[[agents]]
name = "a"
simulated = "smollm2-135m-cpu"
prices = {{ fresh = 0.0001, cached = 0.00001, output = 0.0002 }}
serves = ["small"]
[preferences]
worth = {worth}
"""
ASK = {"model": "auto", "messages": [{"role": "user", "content": "hello there"}], "max_tokens": 200}


class Running:
    """A gateway that serves."""

    def __init__(self, process: "subprocess.Popen[str]", file: Path, url: str) -> None:
        self.process, self.file, self.url = process, file, url

    @contextmanager
    def asked(self, **more: Any) -> Iterator[http.client.HTTPResponse]:
        body, headers = json.dumps(ASK | more), {"content-type": "application/json"}
        with closing(self.connect()) as connection:
            connection.request("POST", "/v1/chat/completions", body, headers)
            yield connection.getresponse()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=20)

    def ask(self, **more: Any) -> tuple[int, bytes]:
        with self.asked(**more) as answer:
            return answer.status, answer.read()

    def defaults(self) -> dict[str, Any]:
        with closing(self.connect()) as connection:
            connection.request("GET", "/iemas/v1/defaults")
            return json.loads(connection.getresponse().read())  # type: ignore[no-any-return]


@contextmanager
def serving(folder: Path, *options: str, text: str = FLEET.format(port=8080, worth=1.0)) -> Iterator[Running]:
    file = folder / "fleet.toml"
    file.write_text(text)
    command = [sys.executable, "-m", "experiments.cli", "serve", str(file), "--port", "0", "--json", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        told = process.stdout.readline()
        assert told, process.communicate()[1]
        yield Running(process, file, json.loads(told)["url"])
    finally:
        process.kill()
        process.communicate()


def wait_for_line(stream: IO[str] | None, words: str) -> str:
    assert stream is not None
    for line in stream:
        if words in line:
            return line
    raise AssertionError(f"nothing said {words!r}")


def test_a_fleet_is_served_until_sigterm_which_lets_requests_end(tmp_path: Path) -> None:
    with serving(tmp_path) as gateway:
        answers: list[tuple[int, bytes]] = []
        thread = threading.Thread(target=lambda: answers.append(gateway.ask(stream=True)))
        thread.start()
        time.sleep(0.15)
        gateway.process.send_signal(signal.SIGTERM)
        thread.join()
        assert gateway.process.wait(20) == 0
        assert answers[0][0] == 200 and answers[0][1].endswith(b"data: [DONE]\n\n")
        assert (tmp_path / "iemas.db").exists()


@pytest.mark.slow
def test_ctrl_c_breaks_off_what_is_streamed_with_an_event(tmp_path: Path) -> None:
    with serving(tmp_path) as gateway:
        with gateway.asked(stream=True) as answer:
            answer.readline()
            gateway.process.send_signal(signal.SIGINT)
            events = [line for line in answer.read().split(b"\n\n") if line.strip()]
        assert gateway.process.wait(20) == 0
        assert json.loads(events[-1][6:])["error"]["code"] == "engine_failed"


@pytest.mark.slow
def test_sighup_takes_over_what_may_change_and_nothing_of_a_bad_file(tmp_path: Path) -> None:
    with serving(tmp_path) as gateway:
        for text, words in (
            (FLEET.format(port=8080, worth=3.0), "was taken over: preferences.worth"),
            ("nonsense", "was not taken over"),
            (FLEET.format(port=8081, worth=4.0), "a restart is needed for server.port"),
        ):
            gateway.file.write_text(text)
            gateway.process.send_signal(signal.SIGHUP)
            wait_for_line(gateway.process.stderr, words)
            assert gateway.defaults()["preferences"]["worth"] == 3.0
        assert gateway.ask(max_tokens=3)[0] == 200


def test_a_taken_port_and_a_faulty_file_are_one_line(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        file = tmp_path / "fleet.toml"
        file.write_text(FLEET.format(port=taken.getsockname()[1], worth=1.0))
        command = [sys.executable, "-m", "experiments.cli", "serve", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "cannot listen on 127.0.0.1 port" in done.stderr and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    file.write_text("[[agents]]\nname = 'x'\n")
    result = CliRunner().invoke(app, ["serve", str(file)])
    assert result.exit_code == 2 and "agents[0]" in result.output


@pytest.mark.slow
def test_the_example_of_a_simulated_fleet_can_be_served(tmp_path: Path) -> None:
    docs = Path(__file__).parents[4] / "docs" / "simulated.toml"
    text = docs.read_text().replace("/tmp/iemas-simulated.db", str(tmp_path / "books.db"))
    with serving(tmp_path, text=text) as gateway:
        status, body = gateway.ask(max_tokens=3, service_tier="priority")
        told = json.loads(body)
        assert status == 200 and told["iemas"]["stated_by"]["worth"] == "service_tier"
        assert gateway.ask(model="small", max_tokens=3)[0] == 200


@pytest.mark.slow
def test_a_refuted_mechanism_does_not_serve_unless_it_is_told_to(tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(FLEET.format(port=8080, worth=1.0) + '[auction]\nmechanism = "pay-as-bid"\n')
    command = [sys.executable, "-m", "experiments.cli", "serve", str(file), "--port", "0", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert "the audit refuted truthful" in done.stderr and "--despite-audit" in done.stderr
    process = subprocess.Popen([*command, "--despite-audit"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        told = wait_for_line(process.stdout, "url")
        assert json.loads(told)["agents"] == ["a"]
        wait_for_line(process.stderr, "not established: truthful")
    finally:
        process.kill()
        process.communicate()
