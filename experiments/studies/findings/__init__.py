"""Questions that are answered by more than one run of a policy: who bids how, what hubs cost, what a rule loses.

exhibit    a table with intervals, a plot of it, and what it does not show
catalogue  every question, by the name that `iemas study` takes
The rest answers one question each, and imports whatever it asks.
"""
