"""The arena: the auction and its rivals in one world, with the same room, knowledge and right to decline, in pairs.

warm_up  what agents answered before, graded, for all who forecast
told     forecasters that are told what others learn
hindsight  what no router could exceed
rivals   who competes, by name, and what each knows
play     one run: a policy, a cell, a seed; and what it was worth to whom
pairs    differences between policies, with intervals
contest  many runs: every policy in every world at every seed
deciles  who gets the welfare: conversations by what answers are worth to their bidders
fitted   tables that fit a terminal
table    a contest as tables and as plain data
"""
