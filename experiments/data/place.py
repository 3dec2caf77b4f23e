"""Where dialogues lie: under a name, and among the files of a folder."""

from collections.abc import Iterable
from pathlib import Path

from experiments.data.catalogue import KNOWN
from experiments.data.loading import SHIPPED, load
from experiments.errors import DatasetError
from experiments.files import checksum, find_known, located


def locate(name: str) -> Path:
    """The path meant by `name`: `shipped`, a catalogue name whose file lies somewhere, or a path that exists.

    Raises:
        DatasetError: there is no such file; the message has how to get it.
    """
    return located(name, KNOWN, {"shipped": SHIPPED})


def find_real(folders: Iterable[str | Path]) -> list[Path]:
    """The known real dialogues in these folders and the two levels below, as `find_known`, in the catalogue's order."""
    found = find_known(KNOWN, folders)
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
