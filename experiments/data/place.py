"""Where files lie: the cache folder, a checksum kept beside a file, and the real files that a folder holds."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from experiments.data.catalogue import KNOWN, KnownFile, named
from experiments.data.loading import SHIPPED, load
from experiments.errors import DatasetError
from runtime.errors import ModelError
from runtime.models.folder import cache_root


def cache_folder() -> Path:
    """Where fetched files go: `$IEMAS_CACHE/data`, or `~/.cache/iemas/data` where that is not set."""
    try:
        return cache_root() / "data"
    except ModelError as error:
        raise DatasetError(str(error)) from error


def locate(name: str) -> Path:
    """The path meant by `name`: `shipped`, a catalogue name whose file is in the cache, or a path that exists.

    Raises:
        DatasetError: there is no such file; the message has how to get it.
    """
    if name == "shipped":
        return SHIPPED
    if Path(name).exists():
        return Path(name)
    if any(file.name == name for file in KNOWN):
        path = cache_folder() / named(name).path
        if path.exists():
            return path
        raise DatasetError(f"{name} is not at {path}; get it with `iemas data fetch {name}`, or place it there by hand")
    names = ", ".join(file.name for file in KNOWN)
    raise DatasetError(f"{name!r} is neither a file nor a name; give a path, or one of shipped, {names}")


def find_real(folders: Iterable[str | Path]) -> list[Path]:
    """The known real files in these folders and the two levels below, in the catalogue's order, each once.

    A file counts by its bytes, whatever its name: the checksum must be the catalogue's or, where there is none, the
    one recorded when it was fetched. Files of another size are never read; folders that do not exist hold nothing.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for pattern in ("*.json", "*/*.json", "*/*/*.json"):
            for path in sorted(Path(folder).glob(pattern)):
                file = _identify(path) if path.is_file() else None
                if file is not None:
                    found.setdefault(file.name, path)
    return [found[file.name] for file in KNOWN if file.name in found]


def find_own(folder: str | Path) -> tuple[list[Path], list[str]]:
    """The dialogue files of a folder: known real ones as `find_real`, and whatever lies in it in a known layout.

    Returns:
        the paths, each content once, and a sentence for each file that was passed over.

    Raises:
        DatasetError: none is there; the message says what was wrong with those that were tried.
    """
    real = find_real([folder])
    found, contents, remarks = list(real), {checksum(path): path for path in real}, []
    for path in sorted(each for end in ("*.json", "*.jsonl") for each in Path(folder).glob(end)):
        if path in real:
            continue
        content = checksum(path)
        if content in contents:
            remarks.append(f"{path} is {contents[content]} again, and is left out")
            continue
        contents[content] = path
        try:
            load(path)
        except DatasetError as error:
            remarks.append(f"left out: {error}")
        else:
            found.append(path)
    if not found:
        tried = "; ".join(remarks) or "there is no .json or .jsonl file in it"
        raise DatasetError(f"folder {folder} holds no dialogues: {tried}. docs/data.md has the layouts")
    return found, remarks


def checksum(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def record_beside(path: Path) -> Path:
    """The file that holds the recorded checksum of `path`, in the format that `sha256sum --check` reads."""
    return path.with_name(path.name + ".sha256")


def recorded(path: Path) -> str | None:
    """The checksum recorded for `path` when it was first fetched, if it was."""
    record = record_beside(path)
    return record.read_text(encoding="utf-8").partition(" ")[0].strip() if record.exists() else None


def _identify(path: Path) -> KnownFile | None:
    size = path.stat().st_size
    for file in KNOWN:
        if file.sha256 is None:
            if path.as_posix().endswith(file.path) and recorded(path) == checksum(path):
                return file
        elif file.size == size and file.sha256 == checksum(path):
            return file
    return None
