"""A worker process of `pool`: reads how to work, then task after task, and writes what each came to."""

import os
import signal
import sys

from experiments.studies.study.pool import attempted, read_frame, write_frame


def main() -> None:
    """Work until the pipe ends."""
    import cloudpickle

    # Ctrl-C is the parent's to answer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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


if __name__ == "__main__":
    main()
