"""A `vllm serve` process: which Python runs it, with which flags, and how it ends without leaving a child behind."""

import asyncio
import atexit
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from runtime.errors import EngineError

HOST = "127.0.0.1"
_GUARD = Path(__file__).with_name("guard.py")
_PROJECT = Path(__file__).parents[3]
_PATIENCE_S = 10.0
_DYING_S = 5.0
_TAIL_LINES = 15
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server is started; the defaults suit a small model on a small machine without a GPU.

    `block_size` is in tokens: a multiple of 32 on CPUs, 16 on most GPUs, None for vLLM's choice. `kv_cache_bytes`
    bounds the KV cache; with None vLLM takes most of the memory there is. `threads` is how many cores one step may use.
    `eager` does without compilation, which costs minutes on a CPU. `offline` forbids downloads from model hubs.
    `extra` is appended to the command line as it stands.
    """

    dtype: Literal["float32", "bfloat16", "float16", "auto"] = "float32"
    max_model_len: int = 4096
    max_num_seqs: int = 16
    block_size: int | None = 32
    kv_cache_bytes: int | None = 512 << 20
    threads: int = 1
    eager: bool = True
    offline: bool = True
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("max_model_len", "max_num_seqs", "block_size", "kv_cache_bytes", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise EngineError(f"server option {name} is {value}; it must be at least 1")

    def arguments(self, model: str, served_name: str, port: int) -> list[str]:
        """The command line after `vllm`."""
        line = ["serve", model, "--served-model-name", served_name, "--host", HOST, "--port", str(port)]
        line += ["--dtype", self.dtype, "--max-model-len", str(self.max_model_len)]
        line += ["--max-num-seqs", str(self.max_num_seqs)]
        line += ["--enable-prefix-caching", "--enable-prompt-tokens-details"]
        line += ["--distributed-executor-backend", "uni"]
        if self.block_size is not None:
            line += ["--block-size", str(self.block_size)]
        if self.kv_cache_bytes is not None:
            line += ["--kv-cache-memory-bytes", str(self.kv_cache_bytes)]
        if self.eager:
            line += ["--enforce-eager"]
        return [*line, *self.extra]

    def environment(self) -> dict[str, str]:
        """The environment variables that the server gets beside our own."""
        own = {
            # With the backend `uni`: no third process for the worker, for which the second would wait busily.
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            # vLLM's own choice puts every server on core 0.
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": str(self.threads),
            # Without it the prefix cache cannot be reset between the runs of a study.
            "VLLM_SERVER_DEV_MODE": "1",
        }
        return {**os.environ, **own, **(_OFFLINE if self.offline else {})}


SMALL_CPU = ServerOptions()


def find_python(explicit: str | Path | None) -> Path:
    """The Python that has vLLM: the one given, else IEMAS_VLLM_PYTHON, else `.venv-vllm` here or in the project.

    Raises:
        EngineError: there is none.
    """
    for source, choice in (("python", explicit), ("IEMAS_VLLM_PYTHON", os.environ.get("IEMAS_VLLM_PYTHON"))):
        if choice:
            python = Path(choice).expanduser().absolute()
            if not os.access(python, os.X_OK):
                raise EngineError(f"{source} names {python}, which is no program; run `make vllm` or correct it")
            return python
    for folder in (Path.cwd(), _PROJECT):
        python = folder / ".venv-vllm" / "bin" / "python"
        if python.exists():
            return python
    raise EngineError(
        "vLLM is not installed: run `make vllm` (3 minutes, 2.5 GB), or let IEMAS_VLLM_PYTHON name a Python that has it"
    )


class ServerProcess:
    """One running server: its address, its log, its end."""

    def __init__(
        self,
        python: Path,
        model: str,
        served_name: str,
        options: ServerOptions,
        log: Path | None,
        port: int | None = None,
    ) -> None:
        self.log, self._own_log = _log_file(log)
        port = port or _free_port()
        self.url = f"http://{HOST}:{port}"
        command = [str(python), str(_GUARD), str(os.getpid()), *options.arguments(model, served_name, port)]
        try:
            with self.log.open("wb") as output:
                self._process = _spawn(command, options.environment(), output)
        except OSError as error:
            raise EngineError(f"cannot run {python} ({error.strerror}); run `make vllm`") from None
        _running.add(self)

    @property
    def pid(self) -> int:
        """The process id, which is its group's too."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while the server runs; minus the signal's number if a signal ended it."""
        return self._process.poll()

    def tail(self, lines: int = _TAIL_LINES) -> list[str]:
        """The last lines of the log that are not blank."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 20_000))
                text = file.read().decode(errors="replace")
        except OSError:
            return []
        return [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]

    async def stop(self) -> None:
        """Ask the whole group to end, and after ten seconds make it; a log of our own goes with it.

        No process of the group runs any more when this returns, unless one outlives its killing by five seconds.
        """
        if self not in _running:
            return
        self._signal(signal.SIGTERM)
        try:
            deadline = time.monotonic() + _PATIENCE_S
            while self.exit_code() is None and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
            self._signal(signal.SIGKILL)
            deadline = time.monotonic() + _DYING_S
            while self._runs() and time.monotonic() < deadline:
                await asyncio.sleep(0.02)
        finally:
            self._finish()

    def kill(self) -> None:
        """End the whole group now; for the interpreter's own end, when there is no loop to wait in."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE_S)
        self._finish()

    def _finish(self) -> None:
        self._signal(signal.SIGKILL)
        self._process.wait()
        # A killed process that holds much memory takes a while to die, and only the leader is a child to wait for.
        deadline = time.monotonic() + _DYING_S
        while self._runs() and time.monotonic() < deadline:
            time.sleep(0.02)
        _running.discard(self)
        if self._own_log:
            with contextlib.suppress(OSError):
                self.log.unlink()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _runs(self) -> bool:
        """Whether a process of the group, the leader or another, is alive."""
        return self.exit_code() is None or _group_runs(self._process.pid)


_running: set[ServerProcess] = set()


@atexit.register
def _kill_what_still_runs() -> None:
    for server in tuple(_running):
        server.kill()


def _spawn(command: list[str], environment: dict[str, str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches us alone, and one signal to the group reaches all that vLLM started.
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _group_runs(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    # The dead count too until somebody fetches them, and in a container there may be nobody who does.
    stats = list(Path("/proc").glob("[0-9]*/stat"))
    return any(_is_alive_in(group, stat) for stat in stats) if stats else True


def _is_alive_in(group: int, stat: Path) -> bool:
    try:
        state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
    except OSError:
        return False
    return int(its_group) == group and state not in "ZX"


def _log_file(log: Path | None) -> tuple[Path, bool]:
    try:
        if log is None:
            handle, name = tempfile.mkstemp(prefix="iemas-vllm-", suffix=".log")
            os.close(handle)
            return Path(name), True
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        return log, False
    except OSError as error:
        raise EngineError(f"cannot write the log {log or 'file'} ({error.strerror}); name another place") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
