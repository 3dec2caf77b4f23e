"""Fixtures for the commands' tests."""

import pytest

from experiments.commands.auditing import child
from experiments.commands.auditing.answer import Answer, answered
from experiments.commands.auditing.lotteries import answered_of_lottery, draws_lots
from experiments.commands.auditing.question import Question
from proofs import SUITE, Report, audit
from proofs.evidence.engine import Progress


@pytest.fixture
def audited_here(monkeypatch: pytest.MonkeyPatch, replayed_here: None) -> None:
    """Audits a rule of the test's own in this process, and over the suite once: a fresh one takes two seconds.

    What crosses to a process and back, and code that ends it, have test_child.py, and tests here without this.
    """
    reports: dict[tuple[str, str | None], Report] = {}

    def answer(question: Question, progress: Progress, time_limit_s: float) -> Answer:
        return answered_of_lottery(question) if draws_lots(question) else answered(question, progress)

    def report(name: str, allocator: str | None, progress: Progress, time_limit_s: float) -> Report:
        if (name, allocator) not in reports:
            reports[name, allocator] = audit(name, SUITE, progress=progress, allocator=allocator)
        return reports[name, allocator]

    monkeypatch.setattr(child, "answered_elsewhere", answer)
    monkeypatch.setattr(child, "report_elsewhere", report)
