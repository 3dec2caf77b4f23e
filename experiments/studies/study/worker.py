"""A worker process of `pool`: reads how to work, then task after task, and writes what each came to."""

import os
import signal
import sys
import threading
import time

from experiments.studies.study.pool import attempted, read_frame, write_frame

#: Seconds between looks at whether the parent lives.
_LOOK_S = 1.0


def main() -> None:
    """Work until the pipe ends."""
    import cloudpickle

    # Ctrl-C is the parent's to answer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    given, taken = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What a policy prints must not end up among results.
    os.dup2(2, 1)
    sys.stdin = open(os.devnull)  # noqa: PTH123, SIM115
    try:
        work = cloudpickle.loads(read_frame(given))
        while True:
            write_frame(taken, attempted(work, read_frame(given)))
    except (EOFError, BrokenPipeError):
        return


def _end_with(parent: int) -> None:
    """End when whoever wants the results is gone, however long the run at hand still takes."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(1)


if __name__ == "__main__":
    main()
