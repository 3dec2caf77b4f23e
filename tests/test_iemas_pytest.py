"""The pytest plugin in test suites of its own: what passes, what fails and how it reads, and what it leaves alone."""

import subprocess
import sys

import pytest

import proofs  # noqa: F401, loaded here, since numpy cannot be loaded anew for every suite below

pytestmark = pytest.mark.usefixtures("replayed_here")

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but this plugin, whether or not the installed package announces it."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def run(pytester: pytest.Pytester, text: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(text)
    # The suite around this one may have loaded the plugin already, and a module is rewritten but once.
    warnings = ("-W", "error", "-W", "ignore::pytest.PytestAssertRewriteWarning")
    strict = ("--strict-markers", *warnings, "-p", "no:cacheprovider")
    return pytester.runpytest_inprocess("-p", "iemas_pytest", *strict, *options)


def test_one_test_per_promise(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest

        @pytest.mark.mechanism("vcg", bidders=2, agents=2, values=range(3))
        def test_laws(finding):
            assert finding, finding.counterexample

        @pytest.mark.mechanism("pay-as-bid", bidders=2, agents=1, values=range(3))
        def test_first_price(finding):
            assert finding, finding.counterexample
        """,
        "-v",
    )
    result.assert_outcomes(passed=9)
    result.stdout.fnmatch_lines_random([f"*::test_laws?{name}? PASSED*" for name in ("truthful", "no-deficit")])
    result.stdout.no_fnmatch_line("*test_first_price?truthful?*")


def test_a_refuted_promise_fails_with_the_shrunk_counterexample(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest

        @pytest.mark.mechanism("pay-as-bid", agents=2, values=range(3), properties=["truthful", "no-deficit"])
        def test_laws(finding):
            assert finding, finding.counterexample
        """,
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*AssertionError: <truthful fails: bidder 0 reports [[]1] instead of [[]2] and gains 1",
            "*PayAsBid over MinCostFlow: truthful is refuted*",
            "3 bidders x 2 agents, values {0..2}, *",
            "truthful fails: bidder 0 reports [[]1] instead of [[]2] and gains 1",
            "true values [[][[]2]], capacities 1, costs 0",
            "*replayed in a fresh process",
            "to see it again:",
            "__import__(\"proofs\").violation('truthful', 'pay-as-bid', values=[[][[]2]]*",
        ]
    )


def test_one_audit_serves_every_property_and_the_report(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest
        from allocation import MinCostFlow
        from mechanisms import VCG, Mechanism
        from proofs import Grid, Truthful

        EXACT = Mechanism(MinCostFlow(), VCG())
        asked = []

        class Counting:
            def run(self, market):
                asked.append(market)
                return EXACT.run(market)

        @pytest.mark.mechanism(Counting(), Grid(2, 1, range(3)), properties=[Truthful(), "efficient"])
        class TestTogether:
            def test_each(self, finding):
                assert finding

            def test_all(self, report):
                assert report.passed and list(report) == ["truthful", "efficient"]

        def test_count():
            assert 9 <= len(asked) < 18 + 9
        """,
    )
    result.assert_outcomes(passed=4)


def test_promises_are_audited_where_they_hold_and_everything_where_there_are_none(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest
        from allocation import MinCostFlow
        from mechanisms import Mechanism, PayAsBid
        from proofs import Reals

        @pytest.mark.mechanism("clearing-price", bidders=1, agents=1, values=range(2), requests_per_bidder=2)
        def test_of_several_requests(finding):
            assert finding

        @pytest.mark.mechanism(Mechanism(MinCostFlow(), PayAsBid()), bidders=1, agents=1, values=range(2))
        def test_of_an_object(finding):
            assert finding

        @pytest.mark.mechanism("vcg", Reals(bidders=2, agents=1))
        def test_of_real_values(finding):
            assert finding.status == "PROVED"

        @pytest.mark.mechanism("two-sided-vcg", allocator="random-priority", bidders=1, agents=1, values=range(2))
        def test_of_nobody(finding):
            pass

        @pytest.mark.mechanism("procurement-vcg", bidders=1, agents=1, values=range(2))
        def test_of_public_costs(finding):
            assert finding

        @pytest.mark.mechanism("procurement-vcg", bidders=1, agents=1, values=range(2), private_costs=range(2))
        def test_of_private_costs(finding):
            assert finding
        """,
        "--collect-only",
        "-q",
    )
    names = [line.partition("::")[2] for line in result.outlines if "::" in line]
    three, truth = ["individually-rational", "no-deficit", "efficient"], ["truthful"]
    kept, agents = [*three, "agents-rational"], ["truthful-agents"]
    assert sorted(names) == sorted(
        [f"test_of_several_requests[{name}]" for name in kept]
        + [f"test_of_an_object[{name}]" for name in kept]
        + [f"test_of_real_values[{name}]" for name in three + truth]
        + [f"test_of_nobody[{name}]" for name in three + truth]
        + [f"test_of_public_costs[{name}]" for name in kept]
        + [f"test_of_private_costs[{name}]" for name in kept + agents]
    )


@pytest.mark.parametrize(
    ("mark", "argument", "message"),
    [
        ('"vcg"', "monkeypatch", "*test_it is marked with mechanism(...) but takes neither `finding` nor `report`*"),
        ('"vgc"', "finding", "*test_it: mechanism(...): no 'vgc' here; shipped: vcg*"),
        ('"vcg", bidders=0', "finding", "*test_it: mechanism(...): bidders = 0; expected an integer >= 1*"),
        ('"vcg", bananas=3', "finding", "*test_it: mechanism(...): *bananas*"),
        ('"vcg", properties=[]', "finding", "*properties is empty; leave it out*"),
        ('"vcg", properties=["fair"]', "finding", "*no property 'fair'; shipped: truthful*"),
        ('"vcg", "x", bidders=2', "finding", "*both a scope and bidders, which make up a Grid; give one of them*"),
        (
            '"trade-reduction-of-mine:rule", values=range(2)',
            "finding",
            "*run where trade-reduction-of-mine.py lies*",
        ),
    ],
)
def test_marks_that_make_no_sense_say_so(pytester: pytest.Pytester, mark: str, argument: str, message: str) -> None:
    result = run(
        pytester, f"import pytest\n\n@pytest.mark.mechanism({mark})\ndef test_it({argument}):\n    assert True\n"
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


def test_the_fixtures_ask_for_the_mark(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_it(report):\n    pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*takes a `report` of an audit; mark it, @pytest.mark.mechanism*"])


def test_other_peoples_fixtures_of_the_same_names_stay_theirs(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import pytest

        @pytest.fixture
        def report():
            return "mine"

        @pytest.mark.parametrize("finding", [1, 2])
        def test_it(finding, report):
            assert report == "mine" and finding
        """,
    )
    result.assert_outcomes(passed=2)


def test_whoever_does_not_use_it_pays_nothing() -> None:
    code = (
        "import sys, iemas_pytest\n"
        "print([name for name in ('numpy', 'numba', 'z3', 'proofs', 'mechanisms') if name in sys.modules])"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "[]"
