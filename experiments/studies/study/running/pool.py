"""Runs in processes of their own: as many as there are cores, on a Ray cluster, or in this process.

A worker is started with `python -m experiments.studies.study.running.worker` and reads tasks from a pipe, so that
nothing of the caller's is run again, as a spawned process would: a notebook, a running event loop and a script without
a guard are all the same to it. What a worker that died was at, another does again; numbers do not depend on who plays.
"""

import asyncio
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

from experiments.errors import StudyError

T = TypeVar("T")
R = TypeVar("R")

#: Times that a task may take its worker with it.
_DEATHS = 2
_ROOT = Path(__file__).resolve().parents[4]


def run_all(
    work: Callable[[T], R], tasks: Sequence[T], workers: int | str | None = None, title: Callable[[T], str] = str
) -> Generator[tuple[int, R]]:
    """What `work` makes of each task, with the task's place, as they are done.

    Args:
        work: a function that needs nothing but the task.
        workers: processes; 0 for this process; "ray" for a Ray cluster; default as many as there are cores, or none for
            a single task.
        title: how an error names a task.

    Raises:
        StudyError: a task took two workers with it or cannot be handed to one, or Ray is not installed.
        Exception: what `work` raises.

    Close it (`contextlib.closing`) where you may leave it early: workers end with it.
    """
    if workers is None:
        workers = 0 if len(tasks) < 2 else min(os.cpu_count() or 1, len(tasks))
    if workers == "ray":
        yield from _on_ray(work, tasks, title)
    elif isinstance(workers, (str, bool)) or workers < 0:
        raise StudyError(f"workers = {workers!r}; expected a number of processes, or 'ray'")
    elif workers == 0:
        yield from _here(work, tasks, title)
    else:
        yield from _in_processes(work, tasks, min(workers, len(tasks)), title)


def _here(work: Callable[[T], R], tasks: Sequence[T], title: Callable[[T], str]) -> Generator[tuple[int, R]]:
    """One after the other; each gets a copy of its task, as in a process of its own, so that nobody sees another's."""
    for k, task in enumerate(tasks):
        copied = pickled(task, title)
        yield k, _beside_a_loop(partial(_copied, work, copied), title(task))


def _copied(work: Callable[[T], R], content: bytes) -> R:
    import cloudpickle

    return work(cloudpickle.loads(content))


def _beside_a_loop(do: Callable[[], R], name: str) -> R:
    """In a thread of its own where a loop is running in this one, which could run no other."""
    found: list[R] = []
    failed: list[BaseException] = []

    def attempt() -> None:
        try:
            found.append(do())
        except SystemExit as error:
            failed.append(StudyError(f"{name} ended its process (exit {error.code})"))
        except BaseException as error:
            if isinstance(error, Exception):
                error.add_note(f"in {name}")
            failed.append(error)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        attempt()
    else:
        thread = threading.Thread(target=attempt, daemon=True)
        thread.start()
        while thread.is_alive():
            # A join without an end would not be interrupted.
            thread.join(0.1)
    if failed:
        raise failed[0]
    return found[0]


def _in_processes(
    work: Callable[[T], R], tasks: Sequence[T], workers: int, title: Callable[[T], str]
) -> Generator[tuple[int, R]]:
    import cloudpickle

    code = cloudpickle.dumps(work)
    todo: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
    for k in range(len(tasks)):
        todo.put((k, 0))
    done: queue.SimpleQueue[tuple[int, bool, Any]] = queue.SimpleQueue()
    living: set[subprocess.Popen[bytes]] = set()
    lock, over = threading.Lock(), threading.Event()

    def started() -> "subprocess.Popen[bytes]":
        process = _started(code)
        with lock:
            living.add(process)
        if over.is_set():
            process.kill()
        return process

    def attempt(process: "subprocess.Popen[bytes] | None", k: int, deaths: int) -> "subprocess.Popen[bytes] | None":
        """One task; returns the worker that is left."""
        payload = pickled(tasks[k], title)
        try:
            if process is None or process.poll() is not None:
                process = started()
            assert process.stdin is not None and process.stdout is not None
            write_frame(process.stdin, payload)
            answer = read_frame(process.stdout)
        except (OSError, EOFError):
            if process is not None:
                process.kill()
                process.wait()
            if deaths + 1 < _DEATHS:
                todo.put((k, deaths + 1))
            else:
                ended = None if process is None else process.returncode
                said = f"{title(tasks[k])} ended {_DEATHS} worker processes (exit {ended}): is there memory enough?"
                done.put((k, False, StudyError(said)))
            return None
        done.put((k, *_answered(answer, title(tasks[k]))))
        return process

    def serve() -> None:
        # Ctrl-C is the main thread's, and workers that are still starting inherit what this one blocks.
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        process: subprocess.Popen[bytes] | None = None
        while not over.is_set():
            try:
                k, deaths = todo.get(timeout=0.1)
            except queue.Empty:
                continue
            try:
                process = attempt(process, k, deaths)
            except Exception as error:
                done.put((k, False, error))

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
                    # What a worker did not read any more is nobody's.
                    with suppress(BrokenPipeError):
                        pipe.close()


def _started(code: bytes) -> "subprocess.Popen[bytes]":
    # A process a core: threads of their own would only be in each other's way.
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**threads, **os.environ, "PYTHONPATH": os.pathsep.join(_paths())}
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.studies.study.running.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        write_frame(process.stdin, code)
    return process


def _paths() -> list[str]:
    """Where modules are looked for here, each once."""
    return list(dict.fromkeys([str(_ROOT), *(path or str(Path.cwd()) for path in sys.path)]))


def _on_ray(work: Callable[[T], R], tasks: Sequence[T], title: Callable[[T], str]) -> Generator[tuple[int, R]]:
    try:
        import ray
    except ImportError as error:
        raise StudyError("Ray is not installed; install iemas[ray]") from error
    import cloudpickle

    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False, logging_level="ERROR")
    code = ray.put(cloudpickle.dumps(work))
    remote = ray.remote(max_retries=_DEATHS - 1)(_one)
    jobs = {remote.remote(code, pickled(task, title), str(Path.cwd()), _paths()): k for k, task in enumerate(tasks)}
    try:
        while jobs:
            ready, _ = ray.wait(list(jobs), num_returns=1)
            name = title(tasks[jobs[ready[0]]])
            try:
                answer = ray.get(ready[0])
            except ray.exceptions.RayError as error:
                said = str(error).strip().splitlines()
                raise StudyError(f"{name} ended {_DEATHS} Ray workers: {said[0] if said else error!r}") from error
            ok, value = _answered(answer, name)
            if not ok:
                raise value
            yield jobs.pop(ready[0]), value
    finally:
        for job in jobs:
            ray.cancel(job, force=True)


def _one(code: bytes, payload: bytes, folder: str, paths: Sequence[str]) -> bytes:
    """A task on Ray, whose workers stand where they like."""
    import cloudpickle

    if Path(folder).is_dir():
        os.chdir(folder)
    sys.path[:] = dict.fromkeys([*paths, *sys.path])
    return attempted(cloudpickle.loads(code), payload)


def pickled(task: T, title: Callable[[T], str] = str) -> bytes:
    """A task as it travels.

    Raises:
        StudyError: it holds what cannot: a lock, an open file, a running engine.
    """
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(task))
    except Exception as error:
        raise StudyError(
            f"{title(task)} cannot be handed to a process ({error}); give a class or a function that makes it instead"
        ) from error


def attempted(work: Callable[[Any], Any], payload: bytes) -> bytes:
    """A pickled task's result, or what was raised, as (whether it went well, what, where it was raised)."""
    import traceback

    import cloudpickle

    try:
        return bytes(cloudpickle.dumps((True, work(cloudpickle.loads(payload)), "")))
    except (Exception, SystemExit) as error:
        where = traceback.format_exc()
        try:
            # Pickled as it is, an error is made anew from its message, which many a kind is not made from.
            made = cloudpickle.dumps((False, (type(error), error.args, error.__dict__), where))
            _remade(*cloudpickle.loads(made)[1])
        except Exception:
            said = f"{type(error).__name__}: {error}"
            made = cloudpickle.dumps((False, (StudyError, (said,), {}), where))
        return bytes(made)


def _remade(kind: type[BaseException], args: tuple[object, ...], held: dict[str, object]) -> BaseException:
    """An error as it was raised."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(held)
    return error


def _answered(answer: bytes, name: str) -> tuple[bool, Any]:
    """What `attempted` wrote, an error with the place where it arose."""
    import cloudpickle

    try:
        ok, value, where = cloudpickle.loads(answer)
    except Exception as error:
        return False, StudyError(f"what {name} came to cannot be read: {type(error).__name__}: {error}")
    if ok:
        return True, value
    raised = _remade(*value)
    if isinstance(raised, SystemExit):
        return False, StudyError(f"{name} ended its process (exit {raised.args[0] if raised.args else 0})")
    raised.__cause__ = RemoteTraceback(where)
    raised.add_note(f"in {name}")
    return False, raised


class RemoteTraceback(Exception):  # noqa: N818 (as Python's own pools call theirs)
    """The traceback of an error that arose in another process, as text."""

    def __init__(self, tb: str) -> None:
        super().__init__(tb)
        self.tb = tb

    def __str__(self) -> str:
        return f"\n{self.tb}"


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
