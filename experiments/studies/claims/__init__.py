"""Is every figure on a page somebody's to print again? Sections of pages, the registry of their claims, the check.

pages     sections and the figures in them
registry  `experiments/claims.toml`: which command prints the figures of which section
pictures  each is drawn from the figures beside it, and its section says no others
checking  what is unregistered, changed by hand, or no longer what its command prints
"""
