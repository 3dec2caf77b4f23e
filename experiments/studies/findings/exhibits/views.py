"""What the picture of each shipped study shows, as `pictured` draws it."""

import re
from collections.abc import Callable, Mapping

from experiments.studies.findings.exhibits.exhibit import Exhibit, Value, shown
from experiments.studies.findings.exhibits.view import Place, Shown, View

Row = Mapping[str, Value]


def _parts(row: Row, column: str) -> tuple[str, str]:
    """Of a first cell such as "vcg, an agent"."""
    first, _, last = str(row[column]).rpartition(", ")
    return first, last


_ROUTERS = {
    "c-mu": "c-mu, told every type",
    "greedy": "greedy, on the auction's own terms",
    "cache-aware-best": "cache-aware on the dearer model",
    "vllm-cache-aware": "vllm-router's cache-aware",
    "llm-d": "llm-d, least predicted latency",
    "oracle": "an oracle of every answer",
    "iemas without congestion": "without congestion",
    "iemas without continuation": "without the cache's future",
    "iemas without exploration": "without exploration",
    "iemas without gathering": "without gathering",
    "iemas without any": "without all four of these",
    "iemas, no price prior": "without the price prior on quality",
    "iemas+by-question": "by questions, not by models",
    "flow": "without payments (flow)",
}


def _by_setting(row: Row, _: Exhibit) -> Place | None:
    """A study's table: a panel a cell, a row for each policy that the first is compared with."""
    if row["seeds won"] is None:
        return None
    policy, rate = str(row["policy"]), str(row["setting"]).removeprefix("rate ").removeprefix("0")
    return Place(_ROUTERS.get(policy, policy), panel=f"{rate} dialogues a second")


def _of(columns: str | tuple[str | None, ...], unit: str, title: str = "", line: float | None = None) -> Shown:
    """Columns that are called like this, with their unit; the title is the only column's own unless given."""
    several = (columns,) if isinstance(columns, str) else columns
    named = title or str(several[0])
    return Shown(tuple(None if one is None else f"{one}, {unit}" for one in several), named, unit, line)


def _gains(title: str) -> View:
    return View(_by_setting, (_of("iemas gains over it", "%", title, 0.0),), shared=True)


def _plain(column: str, names: Mapping[str, str] | None = None) -> Callable[[Row, Exhibit], Place]:
    known = names or {}
    return lambda row, _: Place(known.get(shown(row[column]), shown(row[column])))


_ALIKE = {"0": "bidders alike", "1": "bidders unlike"}


def _scarce(row: Row, _: Exhibit) -> Place | None:
    capacity, bidders = _parts(row, "setting")
    where = {"0": "agents alike", "0.5": "agents apart", "1": "agents far apart"}[shown(row["agents apart"])]
    return Place(where, _ALIKE[bidders.removeprefix("bidders ")]) if capacity == "scarce" else None


_RULES = {"vcg": "VCG"} | {name: name for name in ("pay-as-bid", "greedy at cost", "published rule")}
_KINDS = {
    "a bidder": "one bidder", "two bidders": "two bidders together", "three bidders": "three together",
    "a name more": "a name more", "split names": "split names", "an agent": "an agent about its cost",
}  # fmt: skip


def _deviation(row: Row, _: Exhibit) -> Place | None:
    rule, kind = _parts(row, "rule and who deviates")
    return Place(_KINDS[kind], panel=_RULES[rule]) if rule in _RULES else None


def _report(row: Row, _: Exhibit) -> Place | None:
    policy, kind = _parts(row, "policy and report")
    told = f"{kind.removeprefix('x ')} times the truth" if kind.startswith("x ") else kind
    return Place({"random": "at random", "learning": "as they learn"}.get(told, told)) if policy == "iemas" else None


_FRONTS = {
    "lot": "by lot", "prefix": "by prefix", "prefix, mixed hubs": "by prefix, mixed hubs", "question": "by question",
}  # fmt: skip


def _hubs(row: Row, exhibit: Exhibit) -> Place | None:
    size = re.search(r"over (\d+) agents .* of (\d+) requests", exhibit.question)
    front = _FRONTS.get(str(row["sent by"]))
    if front is None or row["hubs"] == 1:
        return None
    return Place(
        f"{shown(row['hubs'])} hubs",
        "{:,} agents, {:,} requests".format(*map(int, size.groups())) if size else "",
        panel=front,
    )


def _error(row: Row, _: Exhibit) -> Place:
    error, settlement = _parts(row, "error and settlement")
    return Place(error, series=settlement)


_FORETOLD = {"iemas": "iemas", "paper-auction": "published trees", "llm-d": "llm-d's queue model"}


def _foretold(row: Row, _: Exhibit) -> Place:
    policy, rate = _parts(row, "policy, rate")
    what = {"TTFT": "time to first token", "cost": "cost"}[str(row["what"])]
    return Place(_FORETOLD[policy], f"{rate.removeprefix('0').removesuffix('/s')} dialogues a second", panel=what)


def _beside(what: str, unit: str, line: float | None = None, whose: tuple[str, ...] = ("ours", "the paper")) -> View:
    """Figures of one kind, the paper's and ours."""

    def place(row: Row, _: Exhibit) -> Place | None:
        name = str(row["figure"])
        return Place(name.removeprefix(f"{what}, ").removesuffix(f", {unit}")) if name.startswith(f"{what}, ") else None

    return View(place, (Shown(whose, what, unit, line),), whose if len(whose) > 1 else ("",))


def _engine(row: Row, _: Exhibit) -> Place:
    traffic, policy = _parts(row, "traffic, policy")
    agents, limits = str(row["fleet"]).split(", ", 1)
    return Place(limits, f"{traffic}, {agents}", series=policy)


def _tenth(row: Row, _: Exhibit) -> Place:
    tenth = shown(row["tenth of worth"])
    return Place({"1": "the least", "10": "the most"}.get(tenth, tenth), "tenth of worth")


def _forbidden(row: Row, _: Exhibit) -> Place:
    return Place(f"{shown(row['forbidden to them, %'])} % of agents", "half of bidders kept from")


_CHURN = {
    "iemas": "iemas",
    "iemas (own skill)": "each judged alone",
    "cache-aware-best": "cache-aware on the dearer model",
    "llm-d": "llm-d",
}


_REPORTED = "times the truth reported once learnt (geometric mean)"
_TURN, _ROUND, _REQUEST = "credits a turn", "credits a round", "credits a request"

#: By the name that `iemas study` takes.
VIEWS: dict[str, tuple[View, ...]] = {
    "measured": (_gains("iemas gains over it"),),
    "routing": (_gains("iemas gains over it"),),
    "ablation": (_gains("the whole auction gains over it"),),
    "heterogeneity": (
        View(
            _scarce,
            (
                _of("over cache-aware", _TURN, line=0.0),
                _of("over cache-aware-best", _TURN, "over cache-aware on the best class", 0.0),
                _of("over posted", _TURN, "over a posted price", 0.0),
                _of("over c-mu", _TURN, line=0.0),
            ),
        ),
    ),
    "value-of-truth": (
        View(
            _plain("rule"),
            (
                _of("learnt less honest", _ROUND, "welfare once learnt less honest", 0.0),
                _of("surplus once learnt", _ROUND, line=0.0),
                Shown((_REPORTED,), "reported once learnt", "times the truth", 1.0),
            ),
        ),
    ),
    "churn": (
        View(
            _plain("disturbance"),
            (Shown(tuple(f"{name}, welfare lost, %" for name in _CHURN), "welfare lost", "%", 0.0),),
            tuple(_CHURN.values()),
        ),
    ),
    "strategic": (View(_deviation, (_of("rounds in which somebody gains", "%", "rounds with a gain"),), shared=True),),
    "bidding": (
        View(
            _report,
            (
                _of("one deviates: in its rounds", _REQUEST, line=0.0),
                _of("one deviates: carried across rounds", _REQUEST, "carried across rounds", 0.0),
                _of("all do: bidders' utility", _REQUEST, line=0.0),
            ),
        ),
    ),
    "published-rule": (
        View(
            _plain("slots auctioned", {"1": "1 slot an agent", "2": "2 slots", "4": "4 slots", "8": "8 slots"}),
            (
                _of((None, "lost by free service"), _ROUND, "welfare lost by free service", 0.0),
                _of(("surplus of exact VCG", "surplus of the published rule"), _ROUND, "surplus", 0.0),
                _of(
                    ("bidders who gain by a misreport, exact VCG", "bidders who gain by a misreport, published"),
                    "%",
                    "bidders who gain by a misreport",
                ),
            ),
            ("exact VCG", "the published rule"),
        ),
    ),
    "hubs": (View(_hubs, (_of("welfare", "% of one hub"),), tables=(2, 1, 0), shared=True),),
    "budget": (
        View(
            _error,
            (
                _of("auctioneer's surplus", _REQUEST, line=0.0),
                _of("bidders' ex-post losses", _REQUEST, "bidders' losses after the fact"),
                _of("budget for 100 rounds at 95 %", "credits"),
            ),
            ("on-prediction", "on-measurement", "on-delivery"),
        ),
    ),
    "prediction": (
        View(
            _foretold,
            (Shown(("MAE / mean", "MAE / mean, first 30"), "", "MAE / mean"),),
            ("all requests", "first 30"),
        ),
    ),
    "paper": (
        _beside("KV hit rate", "%"),
        _beside("cost a request", "%", 0.0),
        _beside("median latency", "times", 1.0),
        _beside("predictor's error", "NMAE"),
        _beside("welfare", "credits", whose=("ours",)),
    ),
    "engine-limits": (
        View(
            _engine,
            (_of("hit rate", "%", "KV hit rate"), _of("to first token", "median ms")),
            ("iemas", "cache-aware", "sticky", "random"),
        ),
    ),
    "scale": (
        View(
            lambda row, _: Place(f"{shown(row['requests'])} requests", f"{shown(row['agents'])} agents"),
            (
                Shown(("allocate, CPU ms", "charge, CPU ms", "greedy, CPU ms"), "time on one core", "ms", log=True),
                _of((None, None, "welfare over greedy"), "%", "welfare of the optimum over greedy", 0.0),
            ),
            ("allocate", "charge", "greedy"),
        ),
    ),
    "richer-qos": (
        View(
            _tenth,
            (
                _of(("auction: served", "affinity: served"), "%", "served"),
                _of(("auction: right", "affinity: right"), "%", "right, of those served"),
                _of(("auction: median wait", "affinity: median wait"), "s", "median wait"),
            ),
            ("the auction", "affinity"),
            tables=(2,),
        ),
        View(
            _forbidden,
            (
                _of("welfare lost", "%", line=0.0),
                _of("private bidders' utility", "change %", "their utility", 0.0),
                _of("others' utility", "change %", line=0.0),
            ),
        ),
    ),
}
