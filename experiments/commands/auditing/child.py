"""An audit of code that is not ours, in a process of its own: both ends of the pipe, for `audit` and `demo`.

Code under audit may end its process, never return, or print. So the parent hands the question to a child, which answers
over what was its standard output; what the audited code prints goes to standard error. The child has a process group
of its own, workers included, which ends with the audit however that ends.
"""

import base64
import contextlib
import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import IO, TYPE_CHECKING, Any

from experiments.commands.auditing.answer import Answer, answered
from experiments.commands.auditing.lotteries import answered_of_lottery, draws_lots
from experiments.commands.auditing.paper import Paper
from experiments.commands.auditing.question import Question
from experiments.commands.failures import is_ours, one_line

if TYPE_CHECKING:
    from proofs import Report
    from proofs.evidence.engine import Progress

#: How often the child looks whether the audited code moves on, and the longest it may take to end, in seconds.
_LOOK_S, _END_S = 0.25, 2.0


def answered_elsewhere(question: Question, progress: "Progress", time_limit_s: float) -> Answer:
    """Audit, in a child process.

    Args:
        question: what is asked.
        progress: called with (done, total) steps.
        time_limit_s: the child is ended once it has not moved on for so long: no call of the audited code returned.

    Raises:
        AuditError: the child ended without an answer, was ended, or says what went wrong.
    """
    message = _said(asdict(question), "answer", _named(question), progress, time_limit_s)
    return Answer(**message)


def report_elsewhere(name: str, allocator: str | None, progress: "Progress", time_limit_s: float) -> "Report":
    """Audit a mechanism over the suite of small scopes, in a child process; the report as if it were made here.

    Args:
        name, allocator: the mechanism, as `proofs.audit` takes it.
        progress, time_limit_s: as in `answered_elsewhere`.

    Raises:
        AuditError: as `answered_elsewhere`.
    """
    from proofs import SUITE, Report
    from proofs.subject.subject import Subject

    named = ", ".join(each for each in (name, allocator) if each and ":" in each)
    asked: dict[str, Any] = {"mechanism": name, "allocator": allocator}
    told = _said(asked, "report", named, progress, time_limit_s)
    # What the child has made of code that this process is about to import and to serve with.
    findings, parts, seconds = pickle.loads(base64.b64decode(told["pickle"]))
    return Report(Subject.of(name, allocator), SUITE, findings, seconds, parts)


def _said(asked: dict[str, Any], what: str, named: str, progress: "Progress", time_limit_s: float) -> dict[str, Any]:
    """What a child says in answer, under the key `what`."""
    from proofs import AuditError

    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    child = subprocess.Popen(
        [sys.executable, "-m", "experiments.commands.auditing.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
        start_new_session=True,
    )
    assert child.stdin is not None and child.stdout is not None
    try:
        # The pipe stays open: a child that sees it closed knows that nobody waits any more.
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(json.dumps(asked).encode() + b"\n")
            child.stdin.flush()
        for message in _messages(child, child.stdout, time_limit_s):
            if "progress" in message:
                progress(*message["progress"])
            if "error" in message:
                raise AuditError(message["error"])
            if what in message:
                return dict(message[what])
        raise AuditError(f"{named} ended the process of the audit before it could answer: {_ended(child)}")
    finally:
        _end(child)
        child.stdout.close()
        with contextlib.suppress(OSError):
            child.stdin.close()


def _messages(child: "subprocess.Popen[bytes]", stream: IO[bytes], time_limit_s: float) -> Iterator[dict[str, Any]]:
    """What a child says, until it has ended; reading waits in a thread, so that this one hears Ctrl-C."""
    from proofs import AuditError

    lines: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_read, args=(stream, lines), daemon=True).start()
    heard = monotonic()
    while True:
        ended = child.poll() is not None
        try:
            line = lines.get(timeout=_LOOK_S)
        except queue.Empty:
            # Somebody whom the child has begotten may hold the pipe open.
            if ended:
                return
            if monotonic() - heard > time_limit_s:
                raise AuditError(
                    f"the code under audit was stopped: it did not move on for {time_limit_s:g} s; "
                    "--time-limit SECONDS gives it longer"
                ) from None
            continue
        if not line:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_END_S)
            return
        heard = monotonic()
        with contextlib.suppress(ValueError):
            yield dict(json.loads(line))


def _read(stream: IO[bytes], lines: "queue.Queue[bytes]") -> None:
    with contextlib.suppress(OSError, ValueError):
        for line in stream:
            lines.put(line)
    lines.put(b"")


def _named(question: Question) -> str:
    return ", ".join(name for name in (question.name, question.allocator, *question.properties) if name and ":" in name)


def _ended(child: "subprocess.Popen[bytes]") -> str:
    from proofs.grids.workers import ended

    code = child.poll()
    return "it closed its standard output" if code is None else ended(code)


def _end(child: "subprocess.Popen[bytes]") -> None:
    """The child and all that it began."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
    child.wait()


class _Line:
    """The child's end: one JSON object a line."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def say(self, **message: object) -> None:
        data = json.dumps(message).encode() + b"\n"
        with self._lock:
            while data:
                data = data[os.write(self._descriptor, data) :]


class _Watch(threading.Thread):
    """Says that the audited code moves on, while it does: the call that our code is in is not the one it was in."""

    def __init__(self, line: _Line) -> None:
        super().__init__(daemon=True)
        self._line = line
        self._main = threading.main_thread().ident
        self._over = threading.Event()

    def run(self) -> None:
        call: FrameType | None = None
        while not self._over.wait(_LOOK_S):
            now = _call(sys._current_frames().get(self._main or 0))
            if now is None or now is not call:
                with contextlib.suppress(OSError):
                    self._line.say(moving=True)
            # Kept, so that no other frame can come to have its identity.
            call = now

    def stop(self) -> None:
        self._over.set()


def _call(frame: FrameType | None) -> FrameType | None:
    """The outermost frame, below our own, that is not ours; None while our own code runs."""
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    ours = [is_ours(each.f_code.co_filename) for each in frames]
    theirs = [place for place, mine in enumerate(ours) if not mine and any(ours[place:])]
    return frames[theirs[-1]] if theirs else None


def _leave_with(parent: IO[bytes]) -> None:
    """End, with all that was begun here, once the parent has."""
    parent.read()
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def main() -> None:
    """Answer the question on standard input."""
    asked, said = os.fdopen(os.dup(0), "rb", buffering=0), _Line(os.dup(1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    data = json.loads(_first_line(asked))
    threading.Thread(target=_leave_with, args=(asked,), daemon=True).start()
    watch = _Watch(said)
    watch.start()
    try:
        answer = _answer(data, lambda done, total: said.say(progress=(done, total)))
    except BaseException as error:
        # Nobody interrupts this process: whatever comes here is raised by the code under audit.
        if os.environ.get("IEMAS_TRACEBACK"):
            traceback.print_exc()
        watch.stop()
        said.say(error=one_line(error))
    else:
        watch.stop()
        said.say(**answer)


def _answer(data: dict[str, Any], progress: "Progress") -> dict[str, object]:
    from proofs import AuditError

    if "mechanism" in data:
        return {"report": {"pickle": _report(data["mechanism"], data["allocator"], progress)}}
    data["paper"] = Paper(**data["paper"])
    data["properties"] = tuple(data["properties"])
    question = Question(**data)
    try:
        lots = draws_lots(question)
        return {"answer": asdict(answered_of_lottery(question) if lots else answered(question, progress))}
    except SystemExit as error:
        raise AuditError(f"the code under audit ended the process ({error!r}); let it raise") from error


def _report(name: str, allocator: str | None, progress: "Progress") -> str:
    from proofs import SUITE, AuditError, audit

    try:
        found = audit(name, SUITE, progress=progress, allocator=allocator)
    except SystemExit as error:
        raise AuditError(f"the code under audit ended the process ({error!r}); let it raise") from error
    return base64.b64encode(pickle.dumps((found.findings, found.parts, found.seconds))).decode()


def _first_line(stream: IO[bytes]) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        line += stream.read(2**16) or b"\n"
    return line


if __name__ == "__main__":
    main()
