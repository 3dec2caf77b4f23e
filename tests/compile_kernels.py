"""Compiles every kernel, once: `python -m tests.compile_kernels`, before several processes would each do so at once."""

import importlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def kernels() -> list[str]:
    """Modules that define some."""
    files = [file for room in ("allocation", "mechanisms", "runtime") for file in (ROOT / room).rglob("*.py")]
    found = [file.relative_to(ROOT) for file in files if "\n@compiled(" in file.read_text(encoding="utf-8")]
    return sorted(".".join(file.with_suffix("").parts) for file in found)


if __name__ == "__main__":
    for module in kernels():
        importlib.import_module(module)
