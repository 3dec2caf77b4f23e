"""What a file says is a fleet, or every fault of it is one line with its place, its value and the remedy."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechanisms import Preferences
from prediction import TokenPrices
from runtime.errors import ServingError
from runtime.gateway.fleet.config import Fleet, Secret
from runtime.gateway.fleet.file import FleetError, load_fleet, parse_fleet, read_secret, secrets_of
from runtime.gateway.fleet.reload import LIVE, Changes, changes, is_live
from runtime.gateway.requests.preferences import FIGURES, state
from runtime.rounds.records import RoundRules
from tests.runtime.gateway.fleets import BIG, PRICES, SMALL, fleet

DOCS = Path(__file__).parents[4] / "docs"
HIDDEN = "sk-hidden"


def faults(*agents: Any, **tables: Any) -> list[str]:
    with pytest.raises(FleetError) as refusal:
        fleet(*agents, **tables)
    prefix = "/etc/iemas/fleet.toml: "
    assert all(line.startswith(prefix) and "\n" not in line for line in refusal.value.lines)
    return [line.removeprefix(prefix) for line in refusal.value.lines]


def test_the_documented_example_is_a_fleet() -> None:
    shown = load_fleet(DOCS / "fleet.toml")
    assert [agent.name for agent in shown.agents] == ["small", "small-2", "big"]
    assert shown.keys[0].bidder == "alice" and shown.keys[1].bidder == "bob"
    assert shown.keys[1].key.file == DOCS / "keys" / "bob" and shown.server.ledger == str(DOCS / "iemas.db")


def test_the_example_shows_the_defaults_it_says_it_shows() -> None:
    shown = load_fleet(DOCS / "fleet.toml")
    plain = parse_fleet({"agents": [SMALL]}, DOCS / "fleet.toml")
    for name in ("server", "rounds", "auction", "limits", "preferences", "version"):
        if name not in ("server", "rounds"):
            assert getattr(shown, name) == getattr(plain, name), name
    assert shown.rounds.rules() == plain.rounds.rules() == RoundRules(window_s=0.002, attempts=2)
    assert plain.rounds.rules(gathers=False).window_s == 0.0 and shown.rounds.rules(gathers=False).window_s == 0.002


def test_every_key_of_the_format_is_on_the_page() -> None:
    page = (DOCS / "fleet.md").read_text(encoding="utf-8")

    def keys(schema: dict[str, Any]) -> set[str]:
        own = set(schema.get("properties", {}))
        return own.union(*(keys(each) for each in schema.get("$defs", {}).values()))

    missing = {key for key in keys(Fleet.model_json_schema()) if f"`{key}`" not in page}
    assert not missing


def test_the_page_shows_faults_as_they_are_told() -> None:
    alone, together = re.findall(
        r"```\n(fleet.toml: .*?)\n```", (DOCS / "fleet.md").read_text(encoding="utf-8"), re.DOTALL
    )
    wrong = BIG | {"prices": PRICES | {"fresh": -1}, "capacity": "four"}
    for data, shown in (
        ({"agents": [SMALL, wrong], "server": {"prot": 1}}, alone),
        ({"agents": [SMALL], "server": {"host": "0.0.0.0"}, "pools": {"fast": ["smal"]}}, together),
    ):
        with pytest.raises(FleetError) as refusal:
            parse_fleet(data, Path("fleet.toml"))
        assert sorted(refusal.value.lines) == sorted(shown.splitlines())


def test_a_fleet_is_what_the_router_takes() -> None:
    made = fleet(SMALL, rounds={"max_batch": 3, "depth": 2}, service_tiers={"flex": {"worth": 0.5}})
    assert made.agents[0].prices.token_prices() == TokenPrices(0.4, 0.1, 1.0)
    assert made.rounds.rules() == RoundRules(max_batch=3, depth=2, window_s=0.002, attempts=2)
    assert state(None, [], "flex", made.defaults()).preferences == Preferences(0.5, 0.005)


@pytest.mark.parametrize(
    ("tables", "line"),
    [
        ({"agent": 1}, "agent: no such key; did you mean agents?"),
        ({"server": {"prot": 3}}, "server.prot: no such key; did you mean port?"),
        ({"server": {"port": 0}}, "server.port = 0: expected greater than or equal to 1; "
         "write for instance port = 8080"),
        ({"server": {"port": True}}, "server.port = true: expected an integer; write for instance port = 8080"),
        ({"limits": {"body_bytes": 1.5}}, "limits.body_bytes = 1.5: expected an integer; "
         "write for instance body_bytes = 10485760"),
        ({"limits": {"idle_s": float("inf")}}, "limits.idle_s = inf: expected a finite number; "
         "write for instance idle_s = 60.0"),
        ({"preferences": {"worth": float("nan")}}, "preferences.worth = nan: expected a finite number; "
         "write for instance worth = 10.0"),
        ({"preferences": {"worth": -2}}, "preferences.worth = -2: expected greater than or equal to 0; "
         "write for instance worth = 10.0"),
        ({"rounds": 3}, "rounds = 3: expected a table; write for instance a [rounds] with max_batch = 16"),
        ({"pools": {"fast": "small"}}, 'pools.fast = "small": expected a list; write for instance fast = ["small"]'),
        ({"pools": 3}, 'pools = 3: expected a table; write for instance pools = { fast = ["small"] }'),
        ({"pools": {"gpt-4.1": ["smal"]}}, 'pools."gpt-4.1"[0] = "smal": no agent has this name; did you mean small?'),
        ({"pools": {"fast": []}}, 'pools.fast = []: nobody is in it; name agents, such as ["small"]'),
        ({"pools": {"fast": ["big", "big"]}}, 'pools.fast[1] = "big": it is in there already; name it once'),
        ({"pools": {"tiny": ["big"]}}, 'pools.tiny = ["big"]: agents serve a model of this name; choose another'),
        ({"pools": {"auto": ["big"]}}, 'pools.auto = ["big"]: `auto` is every agent already; choose another name'),
        ({"server": {"host": "0.0.0.0"}}, 'server.host = "0.0.0.0": everybody could ask there; add [[keys]], '
         'or listen on "127.0.0.1"'),
        (
            {"server": {"ledger": "postgresql://u:p@h/db"}},
            "server.ledger: it holds a password; leave it to PGPASSWORD, or to ~/.pgpass",
        ),
        ({"server": {"ledger": "/"}}, 'server.ledger = "/": that is a folder; name a file in it'),
        ({"limits": {"max_tokens": 10}}, "limits.default_max_tokens = 1024: more than limits.max_tokens = 10; "
         "lower it, or raise max_tokens"),
        ({"version": 2}, "version = 2: expected 1; write for instance version = 1"),
        ({"service_tiers": {"flex": 1}}, "service_tiers.flex = 1: expected a table; "
         "write for instance flex = { worth = 0.5 }"),
        ({"a\nb": 1}, '"a\\nb": no such key; there are: version, server, agents, pools, hubs, keys, preferences, '
         "service_tiers, rounds, auction, limits"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line(tables: dict[str, Any], line: str) -> None:
    assert faults(**tables) == [line]


@pytest.mark.parametrize(
    ("agent", "line"),
    [
        ({"prices": PRICES | {"fresh": -1}}, "agents[0].prices.fresh = -1: expected greater than or equal to 0; "
         "write for instance fresh = 0.0004"),
        ({"prices": {"fresh": 1, "cached": 1}}, "agents[0].prices.output: missing; add output = 0.001"),
        ({"name": "a b"}, 'agents[0].name = "a b": expected a letter or digit, then letters, digits and . _ -; '
         'write for instance name = "small"'),
        ({"model": None}, 'agents[0].model: missing; add model = "smollm2-135m" to launch one, or url = "http://..."'),
        ({"flags": ["--port=3"]}, "agents[0].flags: --port is given by the gateway itself; leave it out"),
        ({"kv_events": "tcp://h:1"}, 'agents[0].kv_events = "tcp://h:1": we choose where a launched server publishes; '
         "write kv_events = true"),
        ({"kv_replay": "tcp://h:1"}, 'agents[0].kv_replay = "tcp://h:1": a launched server replays where we choose; '
         "leave it out"),
        ({"kv_events": True, "flags": ["--kv-events-config", "{}"]}, "agents[0].flags: --kv-events-config is given by "
         "the gateway itself; leave it out, or kv_events"),
        ({"key": {"env": "A"}}, "agents[0].key: only a server at a `url` asks for one; leave it out"),
        ({"serves": ["auto"]}, 'agents[0].serves = "auto": `auto` stands for every agent; choose another name'),
        ({"capacity": 0}, "agents[0].capacity = 0: expected greater than or equal to 1; "
         "write for instance capacity = 4"),
    ],
)  # fmt: skip
def test_a_fault_of_an_agent_is_one_line(agent: dict[str, Any], line: str) -> None:
    assert faults({key: value for key, value in (SMALL | agent).items() if value is not None}) == [line]


@pytest.mark.parametrize(
    ("agent", "line"),
    [
        ({"url": "10.0.0.5:8000"}, 'agents[0].url = "10.0.0.5:8000": no address of a server; write http://HOST:PORT'),
        ({"url": "http://h:x"}, "agents[0].url: no address (Port could not be cast to integer value as 'x'); "
         "write http://HOST:PORT"),
        ({"url": "http://h/v1"}, 'agents[0].url = "http://h/v1": the gateway adds /v1 itself; leave it out'),
        ({"flags": ["--x"]}, 'agents[0].flags: a server at a `url` has its flags already; leave them out'),
        ({"kv_events": True}, 'agents[0].kv_events = true: where does it publish? Write kv_events = "tcp://HOST:PORT"'),
        ({"kv_events": "http://h:1"}, 'agents[0].kv_events = "http://h:1": no address of ZeroMQ; '
         "write tcp://HOST:PORT, or ipc://PATH"),
        ({"kv_replay": "tcp://h:1"}, 'agents[0].kv_replay = "tcp://h:1": missing beside it: '
         'kv_events = "tcp://HOST:PORT"'),
        ({"port": 3}, "agents[0].port = 3: the port of a server at a `url` stands in it; leave this out"),
        ({"capacity": None}, "agents[0].capacity: missing, and a server at a `url` does not say it; add capacity = 16"),
        ({"serves": []}, 'agents[0].serves: missing; add serves = ["NAME"] or model = "NAME", '
         "by which clients ask for it"),
        ({"key": {}}, 'agents[0].key: give one of the two: { env = "NAME" } or { file = "PATH" }'),
    ],
)  # fmt: skip
def test_a_fault_of_a_server_is_one_line(agent: dict[str, Any], line: str) -> None:
    assert faults({key: value for key, value in (BIG | agent).items() if value is not None}) == [line]


def test_all_faults_are_told_at_once() -> None:
    told = faults(SMALL, SMALL | {"port": 8080}, SMALL | {"name": "x", "port": 9}, SMALL | {"name": "y", "port": 9})
    assert told == [
        'agents[1].name = "small": another agent has this name; choose one of its own',
        "agents[1].port = 8080: another server has this port; leave it out for a free one",
        "agents[3].port = 9: another server has this port; leave it out for a free one",
    ]
    auction = {"mechanism": "vgc", "settlement": "later"}
    assert [line.split(" = ")[0] for line in faults(auction=auction)] == ["auction.mechanism", "auction.settlement"]
    assert [line.split(" = ")[0] for line in faults(auction={"allocator": "gready"})] == ["auction.allocator"]
    twice = faults(keys=[{"name": "a", "key": {"env": "K"}}, {"name": "a", "key": {"env": "K"}}])
    assert [line.split(":")[0] for line in twice] == ['keys[1].name = "a"', "keys[1].key"]


def test_nobody_to_serve_is_a_fault() -> None:
    with pytest.raises(FleetError, match=r"agents: missing; add an \[\[agents\]\]"):
        parse_fleet({}, Path("fleet.toml"))
    with pytest.raises(FleetError, match=r"agents = \[\]: nobody could serve"):
        parse_fleet({"agents": []}, Path("fleet.toml"))


@pytest.mark.parametrize(
    "tables",
    [
        {"keys": [{"name": "a", "key": HIDDEN}]},
        {"keys": [{"name": "a", "key": {"env": HIDDEN}}]},
        {"keys": [{"name": "a", "key": {"value": HIDDEN}}]},
        {"keys": [{"name": "a", "key": [HIDDEN]}]},
        {"keys": HIDDEN},
        {"agents": [BIG | {"key": HIDDEN}]},
        {"agents": [BIG | {"api_key": HIDDEN}]},
        {"agents": [BIG | {"url": f"http://me:{HIDDEN}@10.0.0.5"}]},
        {"agents": [BIG | {"url": f"http://10.0.0.5?key={HIDDEN}"}]},
        {"agents": [BIG | {"flags": ["--api-key", HIDDEN]}]},
        {"agents": [SMALL | {"flags": [f"--api-key={HIDDEN}"]}]},
        {"agents": [SMALL | {"flags": f"--api-key={HIDDEN}"}]},
        {"api_key": HIDDEN},
    ],
)
def test_no_fault_shows_a_key(tables: dict[str, Any]) -> None:
    with pytest.raises(FleetError) as refusal:
        parse_fleet({"agents": [SMALL]} | tables, Path("fleet.toml"))
    assert HIDDEN not in str(refusal.value)


def test_a_dump_holds_no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALICE", HIDDEN)
    (tmp_path / "bob").write_text(f"{HIDDEN}-2\nmore\n")
    keys = [{"name": "alice", "key": {"env": "ALICE"}}, {"name": "bob", "key": {"file": str(tmp_path / "bob")}}]
    made = fleet(SMALL, BIG | {"key": {"env": "ALICE"}}, keys=keys)
    places = secrets_of(made)
    assert list(places) == ["agents[1].key", "keys[0].key", "keys[1].key"]
    read = [read_secret(secret, at) for at, secret in places.items()]
    assert read == [HIDDEN, HIDDEN, f"{HIDDEN}-2"]
    assert HIDDEN not in repr(made) + made.model_dump_json()


def test_a_key_that_is_not_there_says_where_it_ought_to_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ALICE", raising=False)
    with pytest.raises(ServingError, match=r"keys\[0\].key: the variable ALICE holds no key; export ALICE"):
        read_secret(Secret(env="ALICE"), "keys[0].key")
    with pytest.raises(ServingError, match=r"keys\[1\].key: .*nobody holds no key; write"):
        read_secret(Secret(file=tmp_path / "nobody"), "keys[1].key")
    monkeypatch.setenv("ALICE", HIDDEN + " x")
    with pytest.raises(ServingError, match="visible ASCII") as refusal:
        read_secret(Secret(env="ALICE"), "keys[0].key")
    assert HIDDEN not in str(refusal.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    odd = tmp_path / "fleet.toml"
    for written, words in (
        (b"agents = [", "no TOML"),
        (b"a = 1\na = 2", "no TOML"),
        (b"\xff", "no UTF-8 at byte 0"),
        (b"a = " + b"[" * 50_000, "no TOML"),
    ):
        odd.write_bytes(written)
        with pytest.raises(FleetError, match=words) as refusal:
            load_fleet(odd)
        assert refusal.value.lines[0].startswith(f"{odd}: ") and len(refusal.value.lines) == 1
    with pytest.raises(FleetError, match=r"cannot be read \(No such file"):
        load_fleet(tmp_path / "none.toml")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "key", "env", "x"]), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*Fleet.model_fields, "x"]), ANYTHING), ANYTHING)
def test_anything_else_is_a_fault_too(data: dict[str, Any], agent: Any) -> None:
    for written in (data, data | {"agents": [agent]}, {"agents": [SMALL]} | data):
        try:
            parse_fleet(written, Path("fleet.toml"))
        except FleetError as error:
            assert error.lines and all("\n" not in line for line in error.lines)


def test_what_may_change_live() -> None:
    old = fleet(SMALL, BIG, keys=[{"name": "a.b", "key": {"env": "A"}}])
    assert changes(old, old) == Changes((), ())
    new = fleet(
        SMALL | {"serves": ["tiny", "mini"]}, BIG, pools={"fast": ["small"]}, limits={"requests": 2000},
        keys=[{"name": "c", "key": {"env": "C"}}], preferences={"worth": 3},
    )  # fmt: skip
    assert changes(old, new) == Changes(
        ("agents.small.serves", "keys.a.b", "keys.c", "limits.requests", "pools", "pools.fast", "preferences.worth"), ()
    )


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"server": {"port": 1}}, "server.port"),
        ({"rounds": {"max_batch": 2}}, "rounds.max_batch"),
        ({"auction": {"settlement": "on-delivery"}}, "auction.settlement"),
        ({"limits": {"header_bytes": 1}}, "limits.header_bytes"),
        ({"limits": {"idle_s": 1}}, "limits.idle_s"),
        ({"agents": [SMALL | {"prices": PRICES | {"fresh": 9}}, BIG]}, "agents.small.prices.fresh"),
        ({"agents": [SMALL, BIG | {"capacity": 9}]}, "agents.big.capacity"),
    ],
)
def test_what_needs_a_restart(change: dict[str, Any], path: str) -> None:
    agents = change.pop("agents", [SMALL, BIG])
    assert changes(fleet(), fleet(*agents, **change)) == Changes((), (path,))


def test_agents_come_and_go_and_their_order_says_nothing() -> None:
    new = BIG | {"name": "qwen2.5", "model": "x"}
    assert changes(fleet(), fleet(SMALL)) == Changes(("agents.big",), ())
    assert changes(fleet(), fleet(BIG, SMALL)) == Changes((), ())
    assert changes(fleet(), fleet(new, SMALL, BIG)) == Changes(("agents.qwen2.5",), ())
    hubs = {"near": ["small"], "far": ["big"]}
    grown = {"near": ["small"], "far": ["big", "qwen2.5"]}
    assert changes(fleet(hubs=hubs), fleet(SMALL, BIG, new, hubs=grown)) == Changes(("agents.qwen2.5",), ())
    moved = {"near": ["big"], "far": ["small"]}
    assert changes(fleet(hubs=hubs), fleet(hubs=moved)).restart == ("hubs",)
    assert changes(fleet(), fleet(hubs=hubs)).restart == ("hubs",)


def test_every_key_is_one_or_the_other() -> None:
    assert set(LIVE) < set(Fleet.model_fields)
    for name in Fleet.model_fields:
        assert is_live(name) == (name in LIVE)


def test_figures_have_one_set_of_names() -> None:
    schema = json.loads(json.dumps(Fleet.model_json_schema()))
    assert set(schema["$defs"]["Bid"]["properties"]) == set(FIGURES)
