"""A cached kernel is as new as the sources that it inlines, wherever its cache is; without a cache all works too."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from allocation.kernels.compile import caching

REPOSITORY = Path(__file__).parents[3]

#: Calls a kernel of prices/newton.py, which inlines `select` of compile/loops.py.
WINDOW = "from allocation.kernels.prices.newton import window; import numpy as np; print(window(np.arange(9), 3))"

PAID = (
    "from allocation import Market, MinCostFlow; from mechanisms import VCG, Mechanism; "
    "print(Mechanism(MinCostFlow(), VCG()).run(Market([[5], [3]], [[1], [1]], [1])).payments.charges.tolist())"
)


def run(code: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=folder, env=inherited | environment, capture_output=True, text=True
    )


@pytest.mark.slow
@pytest.mark.parametrize("elsewhere", [True, False])
def test_an_edit_of_an_inlined_function_is_seen(tmp_path: Path, elsewhere: bool) -> None:
    shutil.copytree(REPOSITORY / "allocation", tmp_path / "allocation", ignore=shutil.ignore_patterns("__pycache__"))
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")} if elsewhere else {}
    first = run(WINDOW, tmp_path, **cache)
    assert first.returncode == 0, first.stderr
    loops = tmp_path / "allocation" / "kernels" / "compile" / "loops.py"
    stamp = loops.stat()
    text = loops.read_text()
    loops.write_text(text.replace("    return values[k]", "    return values[k] + 5"))
    assert loops.read_text() != text
    # As an archive unpacks it: with the time of before.
    os.utime(loops, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    second = run(WINDOW, tmp_path, **cache)
    assert int(second.stdout) == int(first.stdout) + 5


@pytest.mark.slow
def test_where_nothing_can_be_written_kernels_are_compiled_and_it_is_said_once(tmp_path: Path) -> None:
    # Numba looks for a folder by these; root, who runs containers, may write anywhere, so they are taken away.
    nowhere = "import numba.core.caching as c; c.CompileResultCacheImpl._locator_classes = []; "
    # Nobody asks here how well they are compiled, and that is half of the time it takes.
    done = run(nowhere + PAID, REPOSITORY, NUMBA_OPT="0")
    assert done.stdout == "[3, 0]\n", done.stderr
    assert done.stderr.count("set NUMBA_CACHE_DIR") == 1 and "Traceback" not in done.stderr


@pytest.mark.slow
def test_compiling_is_said_once_per_cache_and_not_once_per_process(tmp_path: Path) -> None:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    code = "from allocation.kernels.compile.loading import kernels; kernels('paths.tiny')"
    children = [
        subprocess.Popen(
            [sys.executable, "-B", "-c", code],
            cwd=REPOSITORY,
            env=inherited | {"NUMBA_CACHE_DIR": str(tmp_path)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [child.communicate()[1] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert "".join(said).count("compiling the solver") == 1
    again = run(code, REPOSITORY, NUMBA_CACHE_DIR=str(tmp_path))
    assert (again.returncode, again.stderr) == (0, "")


def test_one_folder_stands_for_all_kernels_though_python_keeps_no_bytecode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(caching, "_KERNELS", tmp_path)
    roots = {caching._root(tmp_path / part / "__pycache__") for part in ("paths", "prices")}
    assert roots == {tmp_path / "__pycache__"}
