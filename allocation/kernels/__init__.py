"""The machine code behind `MinCostFlow`: arrays in, arrays out. Imports nothing of ours.

Order: `compile` < `pairs` < `prices` < `paths` < `cascade`.
"""
