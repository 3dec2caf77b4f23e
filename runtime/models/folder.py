"""Checks that a folder is a model that vLLM can serve, before half a minute is spent starting it."""

import json
import os
import re
from pathlib import Path

from runtime.errors import ModelError

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tekken.json", "vocab.json")


def cache_root() -> Path:
    """`$IEMAS_CACHE`, or `~/.cache/iemas` where that is not set.

    Raises:
        ModelError: it is not set, and this user has no home folder.
    """
    named = os.environ.get("IEMAS_CACHE")
    try:
        return Path(named).expanduser() if named else Path.home() / ".cache" / "iemas"
    except RuntimeError as error:
        raise ModelError(f"this user has no home folder ({error}); set IEMAS_CACHE to a folder for files") from error


def validate_model_folder(model: str | Path) -> str:
    """The model as vLLM takes it: a checked folder's absolute path, or a hub id such as `org/name` untouched.

    A folder needs config.json with `architectures`, weights (*.safetensors or *.bin) and a tokenizer. Raises
    `ModelError` naming what is missing.
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        if _HUB_ID.fullmatch(str(model)) and not folder.exists():
            return str(model)
        raise ModelError(
            f"{str(model)!r} is neither a model folder nor a hub id such as org/name; "
            "`iemas model list` shows the models that can be fetched"
        )
    _check_config(folder)
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        raise ModelError(f"{folder} has no weights (*.safetensors); fetch the model again")
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise ModelError(f"{folder} has no tokenizer ({', '.join(_TOKENIZERS)}); fetch the model again")
    return str(folder.absolute())


def _check_config(folder: Path) -> None:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{folder} has no config.json, so it is no model folder") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as JSON ({error}); fetch the model again") from None
    if not isinstance(config, dict) or not config.get("architectures"):
        raise ModelError(f"{path} names no `architectures`, so vLLM cannot tell which model it is")
