"""A worker process of `pool`: reads how to work, then task after task, and writes what each came to."""

import logging
import os
import queue
import signal
import sys
import threading
from contextlib import suppress
from typing import IO

from experiments.studies.study.running.pool import attempted, read_frame, write_frame


def main() -> None:
    """Work until the pipe ends."""
    import cloudpickle

    # Ctrl-C is the parent's to answer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    given, taken = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What a policy prints must not end up among results.
    os.dup2(2, 1)
    sys.stdin = open(os.devnull)  # noqa: PTH123, SIM115
    frames: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(given, frames), daemon=True).start()
    # Who failed to take note of something is an error of the run, and is told as that one line.
    logging.getLogger("runtime.rounds.telling").addHandler(logging.NullHandler())
    work = cloudpickle.loads(frames.get())
    with suppress(BrokenPipeError):
        while True:
            write_frame(taken, attempted(work, frames.get()))


def _read(given: IO[bytes], frames: "queue.SimpleQueue[bytes]") -> None:
    """Take in tasks; a parent that is gone, however it went, is seen at once and not after the run."""
    try:
        while True:
            frames.put(read_frame(given))
    except (EOFError, OSError):
        os._exit(0)


if __name__ == "__main__":
    main()
