"""The pytest plugin: `@pytest.mark.mechanism(...)` audits a mechanism and hands a test what was found.

    @pytest.mark.mechanism("vcg", bidders=3, agents=2, values=range(4))
    def test_laws(finding):
        assert finding, finding.counterexample

The test runs once per property. A test that takes `report` in place of `finding` runs once, with all of them. The mark
takes a mechanism or its name, then a scope, or the arguments of a `Grid`; `properties`, by default what the rule
promises on such markets, or `proofs.ALL` where it promises nothing; and `allocator`, for names. One audit serves all
tests that share a mark. Where a refuted test fails, its report shows the shrunk counterexample and an expression to
paste. Over a `Sample` a finding is never truthy; there assert `not report.refuted`.

pytest loads this module in every project of the environment. So it has a name that nobody else has, and imports
nothing of ours before a test carries the mark: a project's own folders may be called `proofs` or `experiments`.
"""

from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from proofs import Finding, Property, Report, Scope

_MARKER = (
    "mechanism(mechanism, scope=None, *, properties=None, allocator=None, **grid): audit a mechanism; the test takes "
    "`finding` and runs once per property, or `report`"
)

#: One report per mark, with the mark itself, so that its identity stays taken.
_REPORTS = pytest.StashKey[dict[int, "tuple[pytest.Mark, Report]"]]()
_HANDED_OUT = pytest.StashKey["tuple[Report, tuple[Finding, ...]]"]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", _MARKER)
    config.stash[_REPORTS] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per property where a marked function takes `finding`.

    Raises:
        CollectError: the mark makes no sense, or the function would never look at what is found.
    """
    mark = metafunc.definition.get_closest_marker("mechanism")
    if mark is None:
        return
    name = metafunc.function.__name__
    if "finding" not in metafunc.fixturenames and "report" not in metafunc.fixturenames:
        raise pytest.Collector.CollectError(
            f"{name} is marked with mechanism(...) but takes neither `finding` nor `report`: nothing would be checked"
        )
    if "finding" in metafunc.fixturenames:
        try:
            names = [prop.name for prop in _question(*mark.args, **mark.kwargs)[2]]
        except (TypeError, ValueError) as error:
            raise pytest.Collector.CollectError(f"{name}: mechanism(...): {error}") from error
        metafunc.parametrize("finding", range(len(names)), ids=names, indirect=True)


@pytest.fixture
def report(request: pytest.FixtureRequest) -> "Report":
    """All that the audit of the test's mark found."""
    found = _report(request)
    request.node.stash[_HANDED_OUT] = found, found.findings
    return found


@pytest.fixture
def finding(request: pytest.FixtureRequest) -> "Finding":
    """What the audit of the test's mark found about one property; truthy where it holds."""
    found = _report(request)
    mine: Finding = found.findings[request.param]
    request.node.stash[_HANDED_OUT] = found, (mine,)
    return mine


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the counterexamples that a failed test was handed."""
    outcome = yield
    if outcome.failed and call.when == "call" and _HANDED_OUT in item.stash:
        whole, findings = item.stash[_HANDED_OUT]
        for each in findings:
            if each.counterexample is not None:
                outcome.sections.append((f"{whole.subject}: {each.property.name} is refuted", _shown(whole, each)))
    return outcome


def _report(request: pytest.FixtureRequest) -> "Report":
    mark = request.node.get_closest_marker("mechanism")
    if mark is None:
        raise pytest.UsageError(
            f"{request.node.name} takes a `{request.fixturename}` of an audit; mark it, "
            '@pytest.mark.mechanism("vcg", bidders=3, agents=2, values=range(4))'
        )
    reports = request.config.stash[_REPORTS]
    if id(mark) not in reports:
        from proofs import audit

        mechanism, scope, properties, allocator = _question(*mark.args, **mark.kwargs)
        reports[id(mark)] = mark, audit(mechanism, scope, properties, allocator=allocator)
    return reports[id(mark)][1]


def _question(
    mechanism: Any,
    scope: "Scope | None" = None,
    *,
    properties: "list[Property | str] | None" = None,
    allocator: str | None = None,
    **grid: Any,
) -> "tuple[Any, Scope, list[Property], str | None]":
    """What a mark asks: mechanism, scope, properties, allocator."""
    _need_ours()
    from proofs import Grid, find_property
    from proofs.testing import promised_on

    if scope is not None and grid:
        raise ValueError(f"both a scope and {', '.join(grid)}, which make up a Grid; give one of them")
    chosen = Grid(**grid) if scope is None else scope
    if properties is None:
        return mechanism, chosen, promised_on(mechanism, chosen, allocator), allocator
    asked = [find_property(prop) if isinstance(prop, str) else prop for prop in properties]
    if not asked:
        raise ValueError("properties is empty; leave it out to audit what the rule promises")
    return mechanism, chosen, asked, allocator


def _need_ours() -> None:
    """Look where `proofs` and the rooms below it would come from, before one of them is imported.

    Raises:
        ValueError: another folder hides one of them.
    """
    home = Path(__file__).parent
    for room in ("allocation", "mechanisms", "prediction", "proofs"):
        spec = find_spec(room)
        origin = None if spec is None or spec.origin is None else Path(spec.origin).parent.parent
        if origin != home:
            where = "a folder without __init__.py" if origin is None else origin / room
            raise ValueError(
                f"{where} hides iemas's own package {room!r} from this test run; rename the folder, or run pytest from "
                "where it is not importable (pytest instead of python -m pytest, --import-mode=importlib)"
            )


def _shown(whole: "Report", each: "Finding") -> str:
    from proofs import AuditError

    found, subject = each.counterexample, whole.subject
    assert found is not None
    lines = [str(whole.scope), str(found), f"worst seen {each.worst}; {each.note}"]
    try:
        expression = found.expression(subject.mechanism if subject.name is None else subject.name, subject.allocator)
    except AuditError:
        return "\n".join(lines)
    return "\n".join([*lines, "to see it again:", expression])
