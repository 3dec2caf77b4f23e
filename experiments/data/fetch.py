"""Official files, fetched once: checked before they get their name, so a half or wrong file never has it."""

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

from experiments.answers import load_answers
from experiments.answers.layouts.llmrouter import read_prices
from experiments.data.catalogue import named
from experiments.data.loading import load
from experiments.errors import DatasetError
from experiments.files import KnownFile, cache_folder, checksum, record_beside, recorded
from experiments.files.known import Kind
from experiments.traces import load_trace

if TYPE_CHECKING:
    import httpx

Progress = Callable[[int, int | None], None]
"""Called with the bytes received so far and, where known, the bytes to expect."""

_CHUNK = 1 << 16


def fetch(name: str, folder: str | Path | None = None, progress: Progress | None = None) -> Path:
    """The official file called `name`, downloaded into `folder` (the cache by default) unless it is there already.

    Whether downloaded now, before, or placed by hand: its SHA-256 must be the catalogue's or, where nobody publishes
    one, the one recorded at first sight, and it must load.

    Raises:
        DatasetError: it is another file or does not load; when offline, with the URL and the place to put the file by
            hand.
    """
    return obtain(named(name), Path(folder) if folder is not None else cache_folder(), progress)


def obtain(file: KnownFile, folder: Path, progress: Progress | None = None) -> Path:
    """What `fetch` does, for a catalogue entry of your own."""
    target = folder / file.path
    for other in file.beside:
        obtain(other, folder)
    try:
        if file.parts:
            _gather(file, folder, progress)
            _accept(file, target, target, checksum(target))
        elif target.exists():
            _accept(file, target, target, checksum(target))
        else:
            _get(file, target, progress)
    except OSError as error:
        raise DatasetError(f"cannot use the folder {folder} ({error}); choose another one") from error
    return target


def _gather(file: KnownFile, folder: Path, progress: Progress | None) -> None:
    """Every part of a folder; how far that is, is told in bytes of all."""
    before = 0
    for part in file.parts:

        def count(done: int, total: int | None, before: int = before) -> None:
            if progress is not None:
                progress(before + done, file.size)

        obtain(part, folder, count)
        before += part.size or 0


def _get(file: KnownFile, target: Path, progress: Progress | None) -> None:
    if file.url is None:
        raise DatasetError(f"{file.name} is not offered for download ({file.origin}); place a copy at {target}")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, thus on its file system, so that the last step is one atomic rename.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as scratch:
        part = Path(scratch) / target.name
        _accept(file, part, target, _download(file, file.url, part, target, progress))
        part.replace(target)


def _download(file: KnownFile, url: str, part: Path, target: Path, progress: Progress | None) -> str:
    import httpx

    try:
        # Compression would hide how many bytes are still to come.
        headers = {"Accept-Encoding": "identity"}
        with (
            httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=30.0) as response,
            part.open("wb") as sink,
        ):
            response.raise_for_status()
            announced = response.headers.get("Content-Length", "")
            total = file.size or (int(announced) if announced.isdecimal() else None)
            return _drain(response, sink, total, progress)
    except FileNotFoundError as error:
        raise DatasetError(
            f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR names are not there ({error}); correct or unset it"
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DatasetError(
            f"could not download {url} ({error}). If this machine is offline, download it elsewhere, "
            f"put it at {target}, and run the same command again to have it checked"
        ) from error


def _drain(response: "httpx.Response", sink: IO[bytes], total: int | None, progress: Progress | None) -> str:
    digest = hashlib.sha256()
    received = 0
    for chunk in response.iter_bytes(_CHUNK):
        sink.write(chunk)
        digest.update(chunk)
        received += len(chunk)
        if progress is not None:
            progress(received, total)
    return digest.hexdigest()


def _layout(file: KnownFile, path: Path) -> str:
    """The layout that the file turns out to be in.

    Raises:
        DatasetError: it is not what it is meant to be.
    """
    match file.kind:
        case Kind.DIALOGUES:
            return load(path).layout
        case Kind.ANSWERS:
            return load_answers(path).layout
        case Kind.TRACE:
            return load_trace(path).layout
        case Kind.PRICES:
            read_prices(path)
            return file.layout.name


def _accept(file: KnownFile, path: Path, target: Path, found: str) -> None:
    """Raise unless the bytes at `path`, with SHA-256 `found`, may be called `target`; record a first sight."""
    expected = file.sha256 or recorded(target)
    if expected is not None and found != expected:
        promised = "the catalogue says" if file.sha256 else f"{record_beside(target)}, from the first time, says"
        remedy = f"delete {path} to fetch it again" if path == target else "nothing was kept; try again later"
        size = f" ({path.stat().st_size} bytes)" if path.is_file() else ""
        raise DatasetError(f"{file.name} has SHA-256 {found}{size}, but {promised} {expected}; {remedy}")
    try:
        layout = _layout(file, path)
    except DatasetError as error:
        sender = "what was put there by hand" if path == target else f"what {file.url} sent"
        raise DatasetError(f"{sender} is not {file.name}: {error}") from error
    if layout != file.layout.name:
        raise DatasetError(f"{file.name} should be in the layout {file.layout.name!r}, but {path} is in {layout!r}")
    if expected is None:
        record_beside(target).write_text(f"{found}  {target.name}\n", encoding="utf-8")
