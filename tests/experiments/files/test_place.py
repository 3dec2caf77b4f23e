"""Where files lie: a name is found in the cache, and by its bytes wherever IEMAS_DATASETS points."""

import hashlib
from pathlib import Path

import pytest

from experiments.errors import DatasetError
from experiments.files import checksum, find_known, located
from experiments.files.known import Kind, KnownFile, Stated
from experiments.worlds.workloads.workload import Dialogues, Questions, Trace

CONTENT = b'{"one": "file"}\n'


def known(name: str = "one", path: str = "some/one.json", content: bytes = CONTENT, **changed: object) -> KnownFile:
    given = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "kind": Kind.TRACE, **changed}
    return KnownFile(name, path, Stated("layout", "terms"), "origin", None, **given)  # type: ignore[arg-type]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a folder that IEMAS_DATASETS names."""
    monkeypatch.setenv("IEMAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("IEMAS_DATASETS", str(tmp_path / "held"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "held").mkdir()
    return tmp_path / "held"


@pytest.mark.parametrize("place", ["another-name.json", "some/one.json", "deep/er/one.json"])
def test_a_name_is_found_by_its_bytes_in_the_folder_of_data(place: str, elsewhere: Path) -> None:
    path = elsewhere / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CONTENT)
    assert located("one", [known()], {}) == path
    path.write_bytes(CONTENT.replace(b"file", b"foul"))
    with pytest.raises(DatasetError, match=r"one is not at .*cache.*, and not in .*held; get it with"):
        located("one", [known()], {})


def test_the_cache_comes_first_and_a_variable_that_names_no_folder_is_said(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / "one.json").write_bytes(CONTENT)
    fetched = elsewhere.parent / "cache" / "data" / "some" / "one.json"
    fetched.parent.mkdir(parents=True)
    fetched.write_bytes(CONTENT)
    assert located("one", [known()], {}) == fetched
    fetched.unlink()
    monkeypatch.setenv("IEMAS_DATASETS", str(elsewhere / "nowhere"))
    with pytest.raises(DatasetError, match=r"IEMAS_DATASETS=.*nowhere is no folder"):
        located("one", [known()], {})
    monkeypatch.delenv("IEMAS_DATASETS")
    (elsewhere.parent / "datasets").symlink_to(elsewhere)
    # A folder `datasets` of where somebody works is looked in as well, as the demonstration does.
    assert located("one", [known()], {}) == Path("datasets/one.json")


def test_a_folder_of_files_is_found_by_all_of_its_bytes(elsewhere: Path) -> None:
    rows = {"a.csv": b"x\n1\n", "b.csv": b"x\n2\n"}
    parts = tuple(known(name, f"all/{name}", content) for name, content in rows.items())
    whole = elsewhere / "some" / "renamed"
    whole.mkdir(parents=True)
    for name, content in rows.items():
        (whole / name).write_bytes(content)
    file = known("all", "all", sha256=checksum(whole), size=8, parts=parts)
    assert located("all", [file], {}) == whole and find_known([file], [elsewhere]) == {"all": whole}
    (whole / "b.csv").write_bytes(b"x\n3\n")
    assert find_known([file], [elsewhere]) == {}


def test_a_file_that_was_changed_is_looked_at_again(elsewhere: Path) -> None:
    path = elsewhere / "one.json"
    path.write_bytes(CONTENT)
    assert find_known([known()], [elsewhere]) == {"one": path}
    path.write_bytes(CONTENT[::-1])
    assert find_known([known()], [elsewhere]) == {}


@pytest.mark.parametrize(
    ("made", "title"),
    [
        (Questions("llmrouter-train"), "llmrouter/dcrouter_train.json (5608 questions, 9 models)"),
        (Questions("routellm-gsm8k", train=0), "routellm/gsm8k_responses.csv (1319 questions, 2 models)"),
        (Trace("azure-code"), "azure/AzureLLMInferenceTrace_code.csv (8819 requests)"),
        (Trace("mooncake-synthetic"), "mooncake/synthetic_trace.jsonl (3993 requests)"),
        (Dialogues("mt-bench"), "mt-bench"),
    ],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
def test_workloads_read_real_files_where_the_variable_points(
    made: Dialogues | Questions | Trace, title: str, datasets: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IEMAS_DATASETS", str(datasets))
    assert made.sources[0][0] == title
