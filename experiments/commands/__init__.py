"""One module per subcommand of `iemas`, in rooms by what one wants of it. Imports every other folder.

| module or room | question |
|---|---|
| `failures` | what went wrong, in one line? |
| `streams` | what becomes of output when the other end is gone, or of another encoding? |
| `patience` | how far is what takes long? |
| `auditing/` | can anyone gain by misreporting, and does the auctioneer lose money? |
| `preparing/` | which data, models, answers and speeds are there, and how are more of them got? |
| `serving/` | who is served, by which fleet, and what do the books say of it? |
| `studying/` | which policy is how good, and is every figure of a page somebody's to print again? |

`studying` imports `auditing` and `preparing`; the others know nothing of each other.
"""
