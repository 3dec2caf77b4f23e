"""Who asks what, when, and how good an answer is: what every policy of a study meets alike.

Imports `data`, `answers`, `traces`.

agents     a simulated agent: its engine, its prices, and how good its answers are
traffic    the protocol that a run is driven by
answers    what agents answer and how it is graded: by an assumed skill, or by a table of measured scores
dialogues  conversations whose turns wait for the answer before
player     an engine that is also asked for prompts of known tokens, by name
tokens     requests of which only lengths, beginnings in common and moments are known
mixed      several of these at the same time
ceiling    what share of prompts a cache without bound would have
"""
