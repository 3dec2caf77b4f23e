"""Runs in processes of their own: as many as there are cores, on a Ray cluster, or in this process.

A worker is started with `python -m experiments.studies.study.worker` and reads tasks from a pipe, so that nothing of
the caller's is run again, as a spawned process would: a notebook, a running event loop and a script without a guard
are all the same to it. What a worker that died was at, another does again; numbers do not depend on who plays.
"""

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

from experiments.errors import StudyError

T = TypeVar("T")
R = TypeVar("R")

#: Times that a task may take its worker with it.
_DEATHS = 2
_ROOT = Path(__file__).resolve().parents[3]


def run_all(
    work: Callable[[T], R], tasks: Sequence[T], workers: int | str | None = None, title: Callable[[T], str] = str
) -> Iterator[tuple[int, R]]:
    """What `work` makes of each task, with the task's place, as they are done.

    Args:
        work: a function that needs nothing but the task.
        workers: processes; 0 for this process, in a thread of its own; "ray" for a Ray cluster; default as many as
            there are cores, or none for a single task.
        title: how an error names a task.

    Raises:
        StudyError: a task took two workers with it, or Ray is not installed.
        Exception: what `work` raises.
    """
    if workers is None:
        workers = 0 if len(tasks) < 2 else min(os.cpu_count() or 1, len(tasks))
    if workers == "ray":
        yield from _on_ray(work, tasks)
    elif isinstance(workers, str) or workers < 0:
        raise StudyError(f"workers = {workers!r}; expected a number of processes, or 'ray'")
    elif workers == 0:
        yield from _here(work, tasks)
    else:
        yield from _in_processes(work, tasks, min(workers, len(tasks)), title)


def _here(work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
    """In a thread, for a loop may be running in this one."""
    for k, task in enumerate(tasks):
        found: list[R] = []
        failed: list[BaseException] = []

        def do(task: T = task, found: list[R] = found, failed: list[BaseException] = failed) -> None:
            try:
                found.append(work(task))
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=do, daemon=True)
        thread.start()
        while thread.is_alive():
            # A join without an end would not be interrupted.
            thread.join(0.1)
        if failed:
            raise failed[0]
        yield k, found[0]


def _in_processes(
    work: Callable[[T], R], tasks: Sequence[T], workers: int, title: Callable[[T], str]
) -> Iterator[tuple[int, R]]:
    import cloudpickle

    code = cloudpickle.dumps(work)
    todo: queue.SimpleQueue[tuple[int, bytes, int]] = queue.SimpleQueue()
    for k, task in enumerate(tasks):
        todo.put((k, cloudpickle.dumps(task), 0))
    done: queue.SimpleQueue[tuple[int, bool, Any]] = queue.SimpleQueue()
    living: set[subprocess.Popen[bytes]] = set()
    lock, over = threading.Lock(), threading.Event()

    def serve() -> None:
        process: subprocess.Popen[bytes] | None = None
        while not over.is_set():
            try:
                k, payload, deaths = todo.get(timeout=0.1)
            except queue.Empty:
                continue
            try:
                if process is None or process.poll() is not None:
                    process = _started(code)
                    with lock:
                        living.add(process)
                    if over.is_set():
                        process.kill()
                assert process.stdin is not None and process.stdout is not None
                write_frame(process.stdin, payload)
                answer = read_frame(process.stdout)
            except (OSError, EOFError):
                if process is not None:
                    process.kill()
                    process.wait()
                if deaths + 1 < _DEATHS:
                    todo.put((k, payload, deaths + 1))
                else:
                    code_ = None if process is None else process.returncode
                    said = f"{title(tasks[k])} ended {_DEATHS} worker processes (exit {code_}); out of memory?"
                    done.put((k, False, StudyError(said)))
                process = None
                continue
            ok, value = cloudpickle.loads(answer)
            done.put((k, ok, value))

    threads = [threading.Thread(target=serve, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        for _ in tasks:
            while True:
                try:
                    k, ok, value = done.get(timeout=0.2)
                    break
                except queue.Empty:
                    continue
            if not ok:
                raise value
            yield k, value
    finally:
        # Nobody wants what they still work at; the parent alone answers to Ctrl-C, and ends its children.
        over.set()
        with lock:
            for process in living:
                process.kill()
        for thread in threads:
            thread.join()
        for process in living:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _started(code: bytes) -> "subprocess.Popen[bytes]":
    paths = [str(_ROOT), *(path or str(Path.cwd()) for path in sys.path)]
    # A process a core: threads of their own would only be in each other's way.
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**threads, **os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.studies.study.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert process.stdin is not None
    write_frame(process.stdin, code)
    return process


def _on_ray(work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
    try:
        import ray
    except ImportError as error:
        raise StudyError("Ray is not installed; install iemas[ray]") from error
    import cloudpickle

    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False, logging_level="ERROR")
    code = ray.put(cloudpickle.dumps(work))
    remote = ray.remote(max_retries=_DEATHS)(_one)
    jobs = {remote.remote(code, cloudpickle.dumps(task)): k for k, task in enumerate(tasks)}
    try:
        while jobs:
            ready, _ = ray.wait(list(jobs), num_returns=1)
            ok, value = cloudpickle.loads(ray.get(ready[0]))
            if not ok:
                raise value
            yield jobs.pop(ready[0]), value
    finally:
        for job in jobs:
            ray.cancel(job, force=True)


def _one(code: bytes, payload: bytes) -> bytes:
    import cloudpickle

    return attempted(cloudpickle.loads(code), payload)


def attempted(work: Callable[[Any], Any], payload: bytes) -> bytes:
    """A pickled task's result, or what was raised, as (whether it went well, what)."""
    import traceback

    import cloudpickle

    try:
        return bytes(cloudpickle.dumps((True, work(cloudpickle.loads(payload)))))
    except Exception as error:
        # A traceback does not travel; where it arose does, as a note.
        error.add_note(traceback.format_exc(limit=-3))
        try:
            made = cloudpickle.dumps((False, error))
            cloudpickle.loads(made)
        except Exception:
            made = cloudpickle.dumps((False, StudyError(f"{type(error).__name__}: {error}")))
        return bytes(made)


def write_frame(pipe: IO[bytes], content: bytes) -> None:
    """Its length, then it."""
    pipe.write(len(content).to_bytes(8, "big") + content)
    pipe.flush()


def read_frame(pipe: IO[bytes]) -> bytes:
    """What `write_frame` wrote.

    Raises:
        EOFError: the other end is gone.
    """
    head = pipe.read(8)
    if len(head) < 8:
        raise EOFError
    size = int.from_bytes(head, "big")
    content = pipe.read(size)
    if len(content) < size:
        raise EOFError
    return content
