"""Who asks what, when, and how good an answer is: what every policy of a study meets alike. Imports `data`.

agents     a simulated agent: its engine, its prices, and how good its answers are
traffic    the protocol that a run is driven by
answers    what agents answer and how it is graded: by an assumed skill, or by a table of measured scores
dialogues  conversations whose turns wait for the answer before
tokens     requests of which only lengths, beginnings in common and moments are known
"""
