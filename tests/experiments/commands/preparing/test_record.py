"""`iemas record answers`, as a user types it, against a server that speaks OpenAI's API."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from experiments.answers import load_answers
from experiments.cli import app
from experiments.commands.preparing.record import app as record
from experiments.errors import DatasetError


class Handler(BaseHTTPRequestHandler):
    """Two models; the large one repeats the last question, the small one says nothing of use."""

    protocol_version = "HTTP/1.1"
    asked: list[str]
    slow_s = 0.0

    def do_GET(self) -> None:
        self._send(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in ("small", "large")]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(f"{body['model']} {self.headers.get('Authorization')}")
        time.sleep(self.slow_s)
        text = body["messages"][-1]["content"] if body["model"] == "large" else "hm"
        usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
        message = {"role": "assistant", "content": text}
        if not body.get("stream"):
            self._send(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage})
            return
        events = [
            {"choices": [{"index": 0, "delta": message, "finish_reason": "stop"}]},
            {"choices": [], "usage": usage},
        ]
        lines = "".join(f"data: {json.dumps(each)}\n\n" for each in events) + "data: [DONE]\n\n"
        self._reply(200, lines.encode(), "text/event-stream")

    def _send(self, status: int, body: object) -> None:
        self._reply(status, json.dumps(body).encode(), "application/json")

    def _reply(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    handler = type("Handler", (Handler,), {"asked": asked, "slow_s": getattr(request, "param", 0.0)})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["record", "answers", "--dialogues", "2", "--turns", "3", *arguments])


def test_two_models_of_one_server_and_again(
    server: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    out = tmp_path / "out.jsonl"
    url, asked = server
    asks = ["--url", url, "--model", "small", "--model", "large", "--api-key", "MY_KEY", "--out", str(out)]
    prices = ["--price", "0.001/0.002", "--price", ".01/.02"]
    done = run(*asks, *prices, "--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert (facts["questions"], facts["left_out"], list(facts["models"])) == (6, 0, ["small", "large"])
    assert len(asked) == 12 and set(asked) == {"small Bearer secret", "large Bearer secret"}
    table = load_answers(out)
    assert table.prices is not None and table.prices.tolist() == [[0.001, 0.002], [0.01, 0.02]]
    assert table.outputs is not None and set(table.outputs.ravel().tolist()) == {2}
    assert (
        facts["models"]["large"]["score"] == pytest.approx(table.scores[:, 1].mean()) and table.scores[:, 0].max() == 0
    )
    again = run(*asks, *prices)
    assert again.exit_code == 0 and len(asked) == 12
    assert "small" in again.output and "6 questions, 2 models" in again.output
    other = run(*asks, *prices, "--max-tokens", "5")
    assert isinstance(other.exception, DatasetError) and "name another file" in str(other.exception)


@pytest.mark.parametrize("server", [0.05], indirect=True)
def test_ctrl_c_keeps_what_was_answered(server: tuple[str, list[str]], tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    asks = ["record", "answers", "--url", server[0], "--at-once", "1", "--out", str(out)]
    program = [sys.executable, "-c", "from experiments.cli import main; main()", *asks]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and (not out.exists() or out.read_text().count("\n") < 4):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    kept = len(load_answers(out).questions)
    assert 3 <= kept < 117 and f"keeps {kept} of 117 questions" in errors
    assert "Traceback" not in errors


def test_a_server_alone_is_named_after_its_address(server: tuple[str, list[str]], tmp_path: Path) -> None:
    done = run("--url", server[0], "--out", str(tmp_path / "out.jsonl"))
    assert done.exit_code == 0, done.output
    table = load_answers(tmp_path / "out.jsonl")
    assert (table.models, table.prices) == ((server[0].removeprefix("http://"),), None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--url", "http://a", "--url", "http://b", "--model", "x"], "2 servers for 1 models"),
        (["--url", "http://a", "--model", "x", "--model", "x"], "named twice"),
        (["--url", "http://a", "--price", "cheap"], "'cheap' is no price"),
        (["--url", "http://a", "--price", "1/2", "--price", "1/2"], "2 prices for 1 models"),
    ],
)
def test_options_that_make_no_sense(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = run(*arguments, "--out", str(tmp_path / "out.jsonl"))
    assert done.exit_code == 2 and said in " ".join(done.output.replace("│", " ").split())
    assert not list(tmp_path.iterdir())


def test_ungraded_dialogues_are_refused(tmp_path: Path) -> None:
    chats = tmp_path / "chats.json"
    chats.write_text(json.dumps([{"messages": [{"role": "user", "content": "Hello."}]}]))
    done = run("--data", str(chats), "--out", str(tmp_path / "out.jsonl"))
    assert isinstance(done.exception, DatasetError) and "no graded question" in str(done.exception)


def test_the_help_has_an_example() -> None:
    assert "Example: iemas record answers" in " ".join(run("--help").output.split())


def test_the_page_on_data_names_options_that_there_are() -> None:
    page = (Path(__file__).parents[4] / "docs" / "data.md").read_text()
    commands = re.findall(r"^iemas record answers (.*)$", page, re.MULTILINE)
    options = {name for command in commands for name in re.findall(r"--[\w-]+", command)}
    [command] = get_command(record).commands.values()  # type: ignore[attr-defined]
    known = {name for each in command.params for name in each.opts}
    assert len(commands) == 2 and options <= known


@pytest.mark.vllm
def test_a_real_model_answers(tmp_path: Path) -> None:
    done = run("--turns", "1", "--model", "smollm2-135m", "--out", str(tmp_path / "out.jsonl"))
    assert done.exit_code == 0, done.output
    table = load_answers(tmp_path / "out.jsonl")
    shipped = load_answers("shipped").only(("smollm2-135m",))
    at = [shipped.questions.index(question) for question in table.questions]
    assert table.inputs is not None and shipped.inputs is not None
    assert table.inputs.tolist() == shipped.inputs[at].tolist()
