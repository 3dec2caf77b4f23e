"""Where files lie: the cache folder, a checksum, and one kept beside a file."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.errors import DatasetError
from experiments.files.known import KnownFile
from runtime.errors import ModelError
from runtime.models.folder import cache_root


def cache_folder() -> Path:
    """Where fetched files go: `$IEMAS_CACHE/data`, or `~/.cache/iemas/data` where that is not set."""
    try:
        return cache_root() / "data"
    except ModelError as error:
        raise DatasetError(str(error)) from error


def located(name: str | Path, files: Sequence[KnownFile], shipped: Mapping[str, Path]) -> Path:
    """The path meant by `name`: one that ships, one of `files` that is in the cache, or a path that exists.

    Raises:
        DatasetError: there is no such file; the message has how to get it.
    """
    named = str(name)
    if named in shipped:
        return shipped[named]
    if Path(name).exists():
        return Path(name)
    file = next((file for file in files if file.name == named), None)
    if file is None:
        names = ", ".join((*shipped, *(file.name for file in files)))
        raise DatasetError(f"{named!r} is neither a file nor a name; give a path, or one of {names}")
    path = cache_folder() / file.path
    if not path.exists():
        raise DatasetError(
            f"{named} is not at {path}; get it with `iemas data fetch {named}`, or place it there by hand"
        )
    return path


def checksum(path: Path) -> str:
    """SHA-256 in hexadecimal, of a file's bytes.

    Of a folder it is that of the list of its CSV files, as `sha256sum *.csv` prints it.
    """
    if path.is_dir():
        lines = (f"{checksum(each)}  {each.name}\n" for each in sorted(path.glob("*.csv")))
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def record_beside(path: Path) -> Path:
    """The file that holds the recorded checksum of `path`, in the format that `sha256sum --check` reads."""
    return path.with_name(path.name + ".sha256")


def recorded(path: Path) -> str | None:
    """The checksum recorded for `path` when it was first fetched, if it was."""
    record = record_beside(path)
    return record.read_text(encoding="utf-8").partition(" ")[0].strip() if record.exists() else None
