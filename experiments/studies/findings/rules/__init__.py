"""What is a payment rule worth when reports or predictions are not true, and who pays? Imports `exhibits`.

| module | question |
|---|---|
| `served` | which markets came up, and what did each bidder get? |
| `bidding` | does a report that is not the truth pay? |
| `published_rule` | what does the published rule cost? |
| `value_of_truth` | what is welfare once bidders have learnt what pays? |
| `strategic` | who gains by rings, false names, or as an agent? |
| `budget` | who pays for wrong predictions? |
"""
