"""Where files lie: the cache folder, folders of data that somebody has, a checksum, and one kept beside a file."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
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


def given_folders() -> list[Path]:
    """Where files lie that nobody fetched: `./datasets`, and `$IEMAS_DATASETS` where that is set."""
    named = named_folder()
    return [Path("datasets"), *([Path(named)] if named else [])]


def named_folder() -> str:
    """What `$IEMAS_DATASETS` names, empty for nothing."""
    return os.environ.get("IEMAS_DATASETS", "")


def located(name: str | Path, files: Sequence[KnownFile], shipped: Mapping[str, Path]) -> Path:
    """The path meant by `name`: one that ships, one of `files` that lies somewhere, or a path that exists.

    One of `files` is looked for in the cache under its own name, then in `given_folders` by its bytes.

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
    if path.exists():
        return path
    held = find_known([file], given_folders())
    if file.name not in held:
        raise DatasetError(
            f"{named} is not at {path}{_elsewhere()}; get it with `iemas data fetch {named}`, or place it there by hand"
        )
    return held[file.name]


def find_known(files: Sequence[KnownFile], folders: Iterable[str | Path]) -> dict[str, Path]:
    """Those of `files` that lie in these folders and the two levels below, by name, each where it is seen first.

    A file counts by its bytes, whatever it is called: the checksum must be the catalogue's or, where there is none, the
    one recorded when it was fetched. Files of another size are never read; folders that do not exist hold nothing.
    """
    found: dict[str, Path] = {}
    endings = sorted({Path(file.path).suffix for file in files})
    for folder in folders:
        for pattern in (f"{'*/' * depth}*{ending}" for depth in range(3) for ending in endings):
            for path in sorted(Path(folder).glob(pattern)):
                file = next((file for file in files if _is_there(file, path)), None)
                if file is not None:
                    found.setdefault(file.name, path)
    return found


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


def _is_there(file: KnownFile, path: Path) -> bool:
    if path.is_dir():
        names = {Path(part.path).name for part in file.parts}
        return bool(names) and names == {each.name for each in path.glob("*.csv")} and checksum(path) == file.sha256
    if file.parts or not path.is_file():
        return False
    if file.sha256 is None:
        return path.as_posix().endswith(file.path) and recorded(path) == checksum(path)
    now = path.stat()
    return now.st_size == file.size and _checksum(path, now.st_mtime_ns, now.st_size) == file.sha256


@lru_cache(maxsize=64)
def _checksum(path: Path, changed_ns: int, size: int) -> str:
    """Studies ask where a file is before each run."""
    return checksum(path)


def _elsewhere() -> str:
    """Where else was looked, for a message."""
    named = named_folder()
    if not named:
        return ""
    return f", and not in {named}" if Path(named).is_dir() else f" (and IEMAS_DATASETS={named} is no folder)"
