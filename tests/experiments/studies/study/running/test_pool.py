"""Runs in processes: the same numbers however many there are, and nobody left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from experiments.commands.failures import one_line
from experiments.errors import ContradictionError, StudyError
from experiments.studies.study.running.pool import run_all
from runtime import EngineError

POSIX = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX systems have them")


def squares(tasks: list[int], workers: int | str | None) -> list[int]:
    found = dict(run_all(lambda task: task * task, tasks, workers))
    return [found[k] for k in range(len(tasks))]


def test_numbers_do_not_depend_on_who_works() -> None:
    assert squares([1, 2, 3], 0) == squares([1, 2, 3], 2) == [1, 4, 9]
    assert squares([], 2) == [] == squares([], None) and squares([5], None) == [25]


@pytest.mark.parametrize("workers", [-1, "cluster", True])
def test_what_is_no_number_of_workers_is_refused(workers: object) -> None:
    with pytest.raises(StudyError, match=r"workers = .*; expected a number of processes, or 'ray'"):
        squares([1, 2], workers)  # type: ignore[arg-type]


def test_nobody_sees_what_another_task_left_behind() -> None:
    shared: list[int] = []

    def work(task: tuple[int, list[int]]) -> int:
        task[1].append(task[0])
        return len(task[1])

    tasks = [(k, shared) for k in range(3)]
    assert dict(run_all(work, tasks, 0)) == dict.fromkeys(range(3), 1) and shared == []


def test_it_works_while_a_loop_is_running() -> None:
    async def main() -> list[int]:
        return squares([2, 3], 0)

    assert asyncio.run(main()) == [4, 9]

    def nested(task: int) -> int:
        async def inner() -> int:
            return task

        return asyncio.run(inner())

    async def outer() -> dict[int, int]:
        return dict(run_all(nested, [7], 0))

    assert asyncio.run(outer()) == {0: 7}


def failing(task: str) -> None:
    if task == "engine":
        raise EngineError("the engine is down")
    if task == "served":
        raise ContradictionError("no-deficit", "it loses")
    if task == "exit":
        sys.exit(3)
    raise KeyError(task)


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_errors_arrive_as_what_they_are_and_are_one_line(workers: int) -> None:
    found: dict[str, BaseException] = {}
    for task in ("engine", "served", "other"):
        with pytest.raises(Exception) as raised:
            dict(run_all(failing, [task], workers, lambda task: f"task {task}"))
        found[task] = raised.value
    assert type(found["engine"]) is EngineError and one_line(found["engine"]) == "the engine is down (in task engine)"
    assert isinstance(found["served"], ContradictionError) and found["served"].property == "no-deficit"
    line = one_line(found["other"])
    assert "\n" not in line and line.startswith("KeyError: 'other' in task other (")
    assert f"{Path(__file__).name}:" in line


@pytest.mark.slow
def test_an_error_that_cannot_travel_is_told_all_the_same() -> None:
    def work(task: int) -> None:
        error = ValueError("odd")
        error.lock = threading.Lock()  # type: ignore[attr-defined]
        raise error

    with pytest.raises(StudyError, match="ValueError: odd"):
        dict(run_all(work, [1], 1))


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_task_that_ends_its_process_is_an_error_wherever_it_runs(workers: int) -> None:
    with pytest.raises(StudyError, match=r"task exit ended its process \(exit 3\)$"):
        dict(run_all(failing, ["exit"], workers, lambda task: f"task {task}"))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_task_that_cannot_travel_is_refused_by_name(workers: int) -> None:
    with pytest.raises(StudyError, match=r"task 0 cannot be handed to a process .*; give a class or a function"):
        dict(run_all(str, [threading.Lock()], workers, lambda task: "task 0"))


@POSIX
@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_its_task_done_again(tmp_path: Path) -> None:
    def work(task: int) -> int:
        flag = tmp_path / f"{task}"
        if task == 1 and not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return task * task

    assert sorted(run_all(work, [0, 1, 2], 2)) == [(0, 0), (1, 1), (2, 4)]
    assert (tmp_path / "1").exists()


@POSIX
@pytest.mark.slow
def test_a_task_that_takes_two_workers_with_it_is_named(tmp_path: Path) -> None:
    def work(task: str) -> None:
        with (tmp_path / "deaths").open("a") as deaths:
            deaths.write("x")
        os._exit(9)

    with pytest.raises(StudyError, match=r"mine at seed 3 ended 2 worker processes \(exit 9\)"):
        dict(run_all(work, ["mine at seed 3"], 1))
    assert (tmp_path / "deaths").read_text() == "xx"


@POSIX
@pytest.mark.slow
def test_workers_end_when_nobody_wants_more(tmp_path: Path) -> None:
    def work(task: int) -> int:
        (tmp_path / str(os.getpid())).touch()
        if task:
            time.sleep(600)
        return os.getpid()

    with closing(run_all(work, [0, 1, 2], 2)) as running:
        next(running)
        deadline = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
    # Both have been waited for: neither is a process any more.
    for each in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(each.name), 0)


#: Without a guard: whatever starts again what the caller runs would never end.
UNGUARDED = """
import os, time
from pathlib import Path
from experiments.studies.study.running.pool import run_all

def work(task):
    Path(str(os.getpid())).touch()
    time.sleep(task)
    return task

print(sorted(run_all(work, [{seconds}] * 4, 2)), flush=True)
"""


def script(folder: Path, seconds: float) -> "subprocess.Popen[str]":
    (folder / "script.py").write_text(UNGUARDED.format(seconds=seconds))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    return subprocess.Popen(
        [sys.executable, "script.py"], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def working(folder: Path, count: int) -> list[int]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = [int(one.name) for one in folder.iterdir() if one.name.isdigit()]
        if len(found) == count:
            return found
        time.sleep(0.05)
    raise AssertionError("nobody began to work")


def gone(process: int) -> bool:
    """Whether it is no process any more, or one that only its new parent has to take note of."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{process}/stat").exists() and ") Z " in Path(f"/proc/{process}/stat").read_text():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
def test_a_script_without_a_guard_plays_once(tmp_path: Path) -> None:
    with script(tmp_path, 0.0) as parent:
        out, err = parent.communicate(timeout=60)
    assert (parent.returncode, out, err) == (0, "[(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.0)]\n", "")


@POSIX
@pytest.mark.slow
@pytest.mark.parametrize("how", ["ctrl-c", "ctrl-c to all", "killed"])
def test_a_parent_that_ends_leaves_no_process(how: str, tmp_path: Path) -> None:
    with script(tmp_path, 600.0) as parent:
        workers = working(tmp_path, 2)
        if how == "ctrl-c to all":
            os.killpg(parent.pid, signal.SIGINT)
        else:
            parent.send_signal(signal.SIGINT if how == "ctrl-c" else signal.SIGKILL)
        _, err = parent.communicate(timeout=30)
        assert all(gone(one) for one in workers)
    assert how == "killed" or (err.count("Traceback") == 1 and "KeyboardInterrupt" in err)


@pytest.mark.slow
def test_ray_gives_the_same_and_names_a_task_that_ends_its_worker() -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed; install iemas[ray]")
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False, logging_level="ERROR")
    try:
        assert squares([1, 2, 3], "ray") == [1, 4, 9]
        with pytest.raises(EngineError, match="the engine is down"):
            dict(run_all(failing, ["engine"], "ray"))
        with pytest.raises(StudyError, match="mine ended 2 Ray workers"):
            dict(run_all(lambda task: os._exit(9), ["mine"], "ray"))
    finally:
        ray.shutdown()
