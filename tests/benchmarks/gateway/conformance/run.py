"""Every check, one after another, over one proxy."""

import asyncio
import importlib.util
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.benchmarks.gateway.conformance import (  # noqa: F401
    answers,
    bodies,
    clients,
    errors,
    faults,
    hanging_up,
    sockets,
    streaming,
)  # fmt: skip
from tests.benchmarks.gateway.conformance.check import CHECKS, Check, Subject
from tests.benchmarks.gateway.conformance.clients import litellm_python
from tests.benchmarks.gateway.peers import Proxy


@dataclass(frozen=True)
class Result:
    """How one check went: no reason, it passed."""

    name: str
    group: str
    reason: str | None = None
    skipped: bool = False
    seconds: float = 0.0


def present(proxy: Proxy) -> frozenset[str]:
    """What checks may need and is there."""
    there = {"openai"} if importlib.util.find_spec("openai") else set()
    there |= {"curl"} if shutil.which("curl") else set()
    there |= {"litellm"} if litellm_python() else set()
    return frozenset(there | ({"key"} if proxy.key else set()))


async def _one(subject: Subject, check: Check) -> Result:
    began = time.perf_counter()
    reason = None
    await subject.begin()
    try:
        await asyncio.wait_for(check.run(subject), subject.timeout)
    except TimeoutError:
        reason = f"no end within {subject.timeout:g} s"
    except Exception as error:
        reason = f"{type(error).__name__}: {error}" if not isinstance(error, AssertionError) else str(error)
    finally:
        await subject.end()
    return Result(check.name, check.group, reason, seconds=time.perf_counter() - began)


async def _all(proxy: Proxy, checks: Sequence[Check], tell: Callable[[Result], None]) -> list[Result]:
    there = present(proxy)
    subject = Subject(proxy)
    results = []
    for check in checks:
        if check.needs <= there:
            results.append(await _one(subject, check))
        else:
            results.append(Result(check.name, check.group, skipped=True))
        tell(results[-1])
    return results


def judge(
    proxy: Proxy,
    only: str = "",
    leave: Sequence[str] = (),
    tell: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Run all checks, or some of them.

    Args:
        only: words in the name or before it, the group: `faults: `.
        leave: words in the names of checks that are left out, and what checks need that are left out.
        tell: is told each result as soon as it is there.
    """
    chosen = [
        check
        for check in CHECKS
        if only in f"{check.group}: {check.name}"
        and not check.needs & set(leave)
        and not any(words in check.name for words in leave)
    ]
    return asyncio.run(_all(proxy, chosen, tell))


def score(name: str, results: Sequence[Result]) -> str:
    """Passed of those that ran, by group."""
    ran = [result for result in results if not result.skipped]
    total, passed = Counter(r.group for r in ran), Counter(r.group for r in ran if not r.reason)
    parts = ", ".join(f"{group} {passed[group]}/{total[group]}" for group in total)
    skipped = f", {len(results) - len(ran)} left out" if len(results) > len(ran) else ""
    return f"{name}: {sum(passed.values())} of {len(ran)} checks{skipped} ({parts})"
