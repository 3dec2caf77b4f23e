"""The command at the ends of pipes: readers that leave, encodings that lack a character, no colour."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes as POSIX systems have them")

MAIN = "import sys; from experiments.cli import main; sys.argv[0] = 'iemas'; main()"
AUDIT = ("audit", "--bidders", "2", "--agents", "1", "--values", "0..2")


def iemas(*arguments: str, read: int | None = None, **environment: str) -> tuple[int, bytes, bytes]:
    """Exit code, output and errors; with `read`, the reader leaves after so many bytes."""
    child = subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), **environment},
    )
    assert child.stdout is not None and child.stderr is not None
    if read is None:
        out, wrong = child.communicate(timeout=120)
        return child.returncode, out, wrong
    out = child.stdout.read(read)
    child.stdout.close()
    wrong = child.stderr.read()
    child.stderr.close()
    return child.wait(120), out, wrong


@pytest.mark.slow
def test_a_reader_that_leaves_changes_no_verdict() -> None:
    for rule, code in (("vcg", 0), ("pay-as-bid", 1)):
        found, _, wrong = iemas(*AUDIT, "--property", "truthful", rule, read=0)
        assert (found, wrong) == (code, b"")


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_no_encoding_ends_a_run(encoding: str, tmp_path: Path) -> None:
    quick = ("--data", "shipped", "--dialogues", "2", "--turns", "2", "--seeds", "1", "--out", str(tmp_path / "o"))
    code, out, wrong = iemas("demo", *quick, PYTHONIOENCODING=encoding)
    assert code == 0 and b"Traceback" not in wrong
    assert ("★" if encoding == "utf-8" else "*") in out.decode(encoding)


def test_no_colour_where_none_is_wanted() -> None:
    for colour in ({"NO_COLOR": "1", "FORCE_COLOR": ""}, {"NO_COLOR": "1"}):
        _, out, _ = iemas(*AUDIT, "vcg", **colour)
        assert b"VERIFIED" in out and b"\x1b[3" not in out
    _, _, wrong = iemas("audit", "nothing-of-that-name", NO_COLOR="1")
    assert wrong.startswith(b"iemas: no ") and b"\x1b" not in wrong
