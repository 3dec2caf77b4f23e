"""Fetching, from a server on this machine: right, wrong, late, absent and offline."""

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from experiments.answers import load_answers
from experiments.answers.catalogue import TABLES
from experiments.data import OFFICIAL, cache_folder, fetch, find_real, locate
from experiments.data.catalogue import KNOWN, OFFERED, known, named
from experiments.data.fetch import obtain
from experiments.data.layouts.native import NATIVE
from experiments.errors import DatasetError
from experiments.files import KnownFile, checksum, record_beside, recorded
from experiments.files.known import Kind

CONTENT = json.dumps(
    {
        "format": "iemas-dialogues/1",
        "documents": {"bo": {"title": "Bo", "text": ["Bo is a cat."]}},
        "dialogues": [{"id": "bo-1", "document": "bo", "turns": [{"question": "Who?", "answers": ["a cat"]}]}],
    }
).encode()


class Handler(BaseHTTPRequestHandler):
    """Serves `CONTENT`, a web page, a body cut short, a redirect; counts what it was asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/moved.json":
            self.send_response(302)
            self.send_header("Location", "/good.json")
            self.end_headers()
            return
        body = {
            "/good.json": CONTENT,
            "/page.json": b"<html>",
            "/cut.json": CONTENT,
            "/scores.json": SCORES,
            "/default_llm.json": PRICES,
            "/one.csv": SUBJECT,
            "/two.csv": SUBJECT,
        }.get(self.path)
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write((body or b"")[: 50 if self.path == "/cut.json" else None])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    handler = type("Handler", (Handler,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


def entry(url: str, sha256: str | None = None) -> KnownFile:
    return KnownFile("bo", "cats/bo.json", NATIVE, "a test", url, sha256)


RIGHT = hashlib.sha256(CONTENT).hexdigest()
WRONG = "0" * 64


def left_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("page", ["good", "moved"])
def test_a_file_with_the_right_checksum_gets_its_name_and_is_asked_for_once(
    page: str, server: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, asked = server
    seen: list[tuple[int, int | None]] = []
    file = entry(f"{url}/{page}.json", RIGHT)
    path = obtain(file, tmp_path, lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    before = len(asked)
    assert obtain(file, tmp_path) == path
    assert len(asked) == before
    assert left_in(tmp_path) == ["cats/bo.json"]


def test_a_file_with_a_wrong_checksum_is_not_kept(server: tuple[str, list[str]], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=f"bo has SHA-256 {RIGHT} .*catalogue says {WRONG}; nothing was kept"):
        obtain(entry(f"{server[0]}/good.json", WRONG), tmp_path)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("page", "found"), [("page", "is a web page"), ("cut", "could not download"), ("absent", "404")]
)
def test_what_is_no_file_is_not_kept(page: str, found: str, server: tuple[str, list[str]], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=found) as caught:
        obtain(entry(f"{server[0]}/{page}.json"), tmp_path)
    assert f"{server[0]}/{page}.json" in str(caught.value)
    assert left_in(tmp_path) == []


def test_another_layout_than_promised_is_not_kept(server: tuple[str, list[str]], tmp_path: Path) -> None:
    promised = replace(entry(f"{server[0]}/good.json"), layout=named("coqa-dev").layout)
    with pytest.raises(DatasetError, match=r"should be in the layout 'CoQA v1\.0'"):
        obtain(promised, tmp_path)
    assert left_in(tmp_path) == []


def test_without_a_published_checksum_the_first_use_is_recorded_and_enforced(
    server: tuple[str, list[str]], tmp_path: Path
) -> None:
    file = entry(f"{server[0]}/good.json")
    path = obtain(file, tmp_path)
    assert recorded(path) == RIGHT
    path.write_bytes(CONTENT + b"\n")
    with pytest.raises(DatasetError, match=rf"from the first time, says {RIGHT}; delete .*bo\.json to fetch it again"):
        obtain(file, tmp_path)
    path.unlink()
    assert obtain(file, tmp_path).read_bytes() == CONTENT


def test_a_file_put_there_by_hand_is_checked_too(tmp_path: Path) -> None:
    path = tmp_path / "cats" / "bo.json"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    assert obtain(entry("http://127.0.0.1:9/bo.json"), tmp_path) == path
    assert record_beside(path).read_text() == f"{RIGHT}  bo.json\n"
    with pytest.raises(DatasetError, match="catalogue says"):
        obtain(entry("http://127.0.0.1:9/bo.json", WRONG), tmp_path)


def test_offline_the_message_says_where_to_put_the_file(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    url = f"http://127.0.0.1:{port}/bo.json"
    with pytest.raises(DatasetError) as caught:
        obtain(entry(url), tmp_path)
    assert url in str(caught.value)
    assert f"put it at {tmp_path / 'cats' / 'bo.json'}" in str(caught.value)
    assert left_in(tmp_path) == []


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cats").write_text("not a folder")
    with pytest.raises(DatasetError, match="choose another one"):
        obtain(entry("http://127.0.0.1:9/bo.json"), tmp_path)


def test_a_copy_that_nobody_offers_must_be_placed_by_hand(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not offered for download"):
        fetch("hotpotqa-dev-100", tmp_path)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(DatasetError, match=r"called 'coqa'; choose one of coqa-dev, coqa-train"):
        named("coqa")


def test_the_catalogue_is_sound() -> None:
    every = (*KNOWN, *OFFERED[len(OFFICIAL) :])
    assert len({file.name for file in every}) == len({file.path for file in every}) == len(every)
    assert all(file.url and file.url.startswith("http") for file in OFFERED)
    for file in KNOWN:
        assert (file.sha256 is None) == (file.size is None) == ("first use" in file.checksum_from)
        assert file.sha256 is None or known(file.sha256) is file


def test_the_tables_and_traces_of_the_catalogue_are_those_of_the_real_files(datasets: Path) -> None:
    files = [each for file in OFFERED[len(OFFICIAL) :] for each in (file, *file.parts, *file.beside)]
    assert {file.kind for file in files} == {Kind.ANSWERS, Kind.PRICES, Kind.TRACE}
    for file in files:
        path = datasets / ("traces" if file.kind is Kind.TRACE else "routing") / file.path
        assert checksum(path) == file.sha256
        assert file.parts or path.stat().st_size == file.size


SCORES = b'[{"question": "One?", "scores": {"a": 1.0}}]'
PRICES = b'{"a": {"input_price": 1, "output_price": 2}}'
SUBJECT = b"prompt,x\nOne?,True\n"


def table(url: str, name: str, content: bytes, kind: Kind = Kind.ANSWERS, **more: object) -> KnownFile:
    sha256 = hashlib.sha256(content).hexdigest()
    layout = TABLES[-1].layout if name.endswith("csv") else TABLES[0].layout
    return KnownFile(name, f"t/{name}", layout, "a test", f"{url}/{name}", sha256, len(content), "", kind, **more)  # type: ignore[arg-type]


def test_a_table_comes_with_the_file_beside_it(server: tuple[str, list[str]], tmp_path: Path) -> None:
    url, asked = server
    prices = table(url, "default_llm.json", PRICES, Kind.PRICES)
    path = obtain(table(url, "scores.json", SCORES, beside=(prices,)), tmp_path)
    assert left_in(tmp_path) == ["t/default_llm.json", "t/scores.json"]
    found = load_answers(path).prices
    assert found is not None and found.tolist() == [[0.001, 0.002]]
    assert asked == ["/default_llm.json", "/scores.json"]


def test_a_folder_is_fetched_part_by_part_and_only_what_is_missing(
    server: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, asked = server
    parts = tuple(table(url, f"{name}.csv", SUBJECT) for name in ("one", "two"))
    listing = "".join(f"{part.sha256}  {part.name}\n" for part in parts)
    folder = replace(
        parts[0], name="t", path="t", sha256=hashlib.sha256(listing.encode()).hexdigest(), parts=parts, size=38
    )
    seen: list[tuple[int, int | None]] = []
    path = obtain(folder, tmp_path, lambda done, total: seen.append((done, total)))
    assert len(load_answers(path).questions) == 2
    assert seen == [(19, 38), (38, 38)]
    (path / "one.csv").unlink()
    obtain(folder, tmp_path)
    assert asked == ["/one.csv", "/two.csv", "/one.csv"]
    (path / "three.csv").write_bytes(SUBJECT)
    with pytest.raises(DatasetError, match=r"t has SHA-256 \w+, but the catalogue says"):
        obtain(folder, tmp_path)


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("IEMAS_DATASETS", raising=False)
    monkeypatch.setenv("IEMAS_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path / "data"
    with pytest.raises(DatasetError, match="iemas data fetch coqa-dev"):
        locate("coqa-dev")
    path = tmp_path / "data" / "coqa" / "coqa-dev-v1.0.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert locate("coqa-dev") == path
    monkeypatch.delenv("IEMAS_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "iemas" / "data"


def test_a_path_or_the_shipped_dialogues_can_be_located(tmp_path: Path) -> None:
    assert locate("shipped").name == "shipped.json"
    assert locate(str(tmp_path)) == tmp_path
    with pytest.raises(DatasetError, match="neither a file nor a name"):
        locate("nonsense")


def test_real_files_are_found_by_their_bytes_alone(tmp_path: Path) -> None:
    impostor = tmp_path / "coqa" / "coqa-dev-v1.0.json"
    impostor.parent.mkdir()
    impostor.write_bytes(CONTENT)
    (tmp_path / "dangling.json").symlink_to(tmp_path / "nowhere.json")
    assert find_real([tmp_path, tmp_path / "absent"]) == []


def test_a_first_use_is_found_again_by_its_record(tmp_path: Path) -> None:
    path = tmp_path / named("sgd-train-001").path
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert find_real([tmp_path]) == []
    record_beside(path).write_text(f"{RIGHT}  {path.name}\n")
    assert find_real([tmp_path]) == [path]
