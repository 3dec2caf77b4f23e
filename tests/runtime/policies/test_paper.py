import numpy as np

from mechanisms import Preferences, find_mechanism
from prediction import TokenPrices
from runtime import Completion, EngineInfo, Fleet, Job, Offer, PaperAuction, Served
from runtime.engines.simulated.tokens import encode_chat
from runtime.policies.policy import Agent
from tests.runtime.fleet import PRICES, request


def agent(name: str, *, block_size: int = 4, tokenizer: str = "t", slots: int = 4, longest: int = 1000) -> Agent:
    info = EngineInfo(name, block_size, 1000, longest, slots, tokenizer, simulated=True)
    return Agent(name, info, PRICES, slots)


def fleet(agents: list[Agent], inflight: list[int] | None = None, alive: list[bool] | None = None) -> Fleet:
    return Fleet(
        tuple(agents),
        np.array(alive or [True] * len(agents)),
        tuple((Job(None, 0.0),) * count for count in inflight or [0] * len(agents)),
    )


def offer(name: str, *texts: str, agents: int = 2, preferences: Preferences | None = None, bidder: str = "") -> Offer:
    made = request(name, *texts, bidder=bidder)
    tokens = encode_chat(made.messages)
    return Offer(made, preferences or Preferences(50.0, 1.0), (tokens,) * agents, len(texts) // 2)


def completion(made: Offer, cached: int = 0) -> Completion:
    tokens = made.tokens[0]
    return Completion("fine", len(tokens), cached, 2, 0.5, 0.6, (*tokens, 77, 78))


def served(made: Offer, at: int, took: Completion, note: object) -> Served:
    return Served(0.6, made, at, took, 0.0, 0.0, 0, 10_000, 10_000, 1.0, None, note)


def serve(auction: PaperAuction, agents: list[Agent], made: Offer, at: int, cached: int = 0) -> None:
    only = [j == at for j in range(len(agents))]
    decided = auction.decide([made], fleet(agents, alive=only))
    assert decided.agents.tolist() == [at]
    auction.notice(served(made, at, completion(made, cached), decided.notes[0]))


def test_affinity_lowers_the_predicted_cost_where_the_prefix_lies() -> None:
    agents = [agent("a"), agent("b")]
    auction = PaperAuction(find_mechanism("vcg"))
    auction.attach(agents)
    text = "a long question about the ferries of a harbour town and their times"
    serve(auction, agents, offer("r", text), at=1)
    decided = auction.decide([offer("s", text, "fine", "and on Sundays?")], fleet(agents))
    assert decided.agents.tolist() == [1]
    assert decided.outcome is not None
    costs = decided.outcome.reported.costs
    assert costs[0, 1] < costs[0, 0]


def test_a_hit_short_of_the_belief_corrects_it() -> None:
    agents = [agent("a"), agent("b")]
    auction = PaperAuction(find_mechanism("vcg"))
    auction.attach(agents)
    text = "a long question about the ferries of a harbour town and their times"
    long = offer("r", text, "fine", "and a second question that makes it longer still")
    short = offer("s", text)
    serve(auction, agents, long, at=1)
    before = auction._affinity.cached_tokens([long])[0, 1]
    serve(auction, agents, short, at=1, cached=0)
    after = auction._affinity.cached_tokens([long])[0, 1]
    assert after <= len(short.tokens[1]) < before


def test_no_report_moves_a_prediction() -> None:
    agents = [agent("a"), agent("b")]
    auction = PaperAuction(find_mechanism("vcg"))
    auction.attach(agents)
    serve(auction, agents, offer("r", "something"), at=0)
    decisions = [
        auction.decide([offer("s", "what is it", preferences=Preferences(worth, 0.3), bidder=name)], fleet(agents))
        for worth, name in ((1.0, "alice"), (90.0, "bob"))
    ]
    one, two = decisions
    assert one.predicted == two.predicted
    assert one.predicted[0] is not None
    assert one.outcome is not None and two.outcome is not None
    assert (one.outcome.reported.costs == two.outcome.reported.costs).all()
    assert one.notes == two.notes


def test_slots_in_use_and_dead_agents_are_no_capacity() -> None:
    agents = [agent("a"), agent("b")]
    auction = PaperAuction(find_mechanism("vcg"))
    auction.attach(agents)
    offers = [offer(f"r{k}", f"{k}") for k in range(6)]
    decided = auction.decide(offers, fleet(agents, inflight=[3, 0], alive=[True, False]))
    assert decided.agents.tolist().count(0) == 1
    assert decided.agents.tolist().count(1) == 0


def test_a_prompt_too_long_for_an_agent_goes_elsewhere() -> None:
    agents = [agent("a", longest=8), agent("b")]
    auction = PaperAuction(find_mechanism("vcg"))
    auction.attach(agents)
    assert auction.decide([offer("r", "one two three four five six seven")], fleet(agents)).agents.tolist() == [1]


def test_requests_of_one_bidder_are_one_player() -> None:
    agents = [agent("a", slots=1)]
    rich, poor = Preferences(50.0, 0.0), Preferences(40.0, 0.0)
    for bidders, pays_rival in ((("alice", "alice"), False), (("alice", "bob"), True)):
        auction = PaperAuction(find_mechanism("vcg"))
        auction.attach(agents)
        offers = [
            offer("r", "one", agents=1, preferences=rich, bidder=bidders[0]),
            offer("s", "two", agents=1, preferences=poor, bidder=bidders[1]),
        ]
        decided = auction.decide(offers, fleet(agents))
        assert decided.outcome is not None
        assert (decided.outcome.surplus > 0) == pays_rival


def test_agents_with_other_vocabularies_and_block_sizes_are_kept_apart() -> None:
    agents = [agent("a", block_size=4), agent("b", block_size=8), agent("c", tokenizer="other", block_size=4)]
    auction = PaperAuction(find_mechanism("vcg"))
    auction.attach(agents)
    made = offer("r", "a question of some length that fills blocks", agents=3)
    tokens = made.tokens[0]
    made = Offer(made.request, made.preferences, (tokens, tokens, tuple(token + 1 for token in tokens)), 0)
    for j in range(3):
        took = Completion("x", len(tokens), 0, 1, 0.1, 0.1, (*made.tokens[j], 9))
        decided = auction.decide([made], fleet(agents, alive=[k == j for k in range(3)]))
        auction.notice(served(made, j, took, decided.notes[0]))
    longest = len(tokens) - 1
    assert auction._affinity.cached_tokens([made])[0].tolist() == [longest // 4 * 4, longest // 8 * 8, longest // 4 * 4]


def test_prices_differ_by_agent() -> None:
    cheap, dear = agent("a"), agent("b")
    dear = Agent("b", dear.info, TokenPrices(1.0, 0.1, 2.0), 4)
    auction = PaperAuction(find_mechanism("vcg"))
    auction.attach([cheap, dear])
    decided = auction.decide([offer("r", "one two")], fleet([cheap, dear]))
    assert decided.outcome is not None
    costs = decided.outcome.reported.costs
    assert costs[0, 1] > 100 * costs[0, 0]
