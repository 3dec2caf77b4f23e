"""A container without a home, or with certificates that are not there: it works, or says which variable to set."""

from pathlib import Path

import pytest

from experiments.data import cache_folder, fetch
from experiments.errors import DatasetError
from experiments.studies.demo import Plan, find_files
from runtime.errors import ModelError
from runtime.models.fetch import default_destination


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("IEMAS_CACHE", raising=False)
    monkeypatch.delenv("IEMAS_DATASETS", raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("homeless")
def test_without_a_home_the_variable_is_named_and_the_demo_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetError, match="set IEMAS_CACHE"):
        cache_folder()
    with pytest.raises(ModelError, match="set IEMAS_CACHE"):
        default_destination("smollm2-135m")
    paths, remarks = find_files(Plan())
    assert [path.name for path in paths] == ["shipped.json"] and "set IEMAS_CACHE" in remarks[0]
    monkeypatch.setenv("IEMAS_CACHE", "here")
    assert cache_folder() == Path("here/data")


def test_certificates_that_are_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IEMAS_CACHE", str(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere.pem"))
    with pytest.raises(DatasetError, match="SSL_CERT_FILE"):
        fetch("coqa-dev")
