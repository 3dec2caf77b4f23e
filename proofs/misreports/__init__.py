"""What may somebody report instead of the truth: one bidder, an agent, a coalition, other names? Imports `errors`."""
