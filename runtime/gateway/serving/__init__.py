"""Who serves what was let in, and what does it come to? Imports `fleet` and `requests`, nothing of HTTP.

| module | question |
|---|---|
| `engines` | which engines does a fleet's file mean? |
| `keeping` | which servers run on without a gateway? |
| `warming` | what has to be compiled or loaded before anybody waits for it? |
| `passing` | which bytes go to a client, and where is its receipt? |
| `receipts` | what did each request come to? |
| `serving` | the fleet, its engines and its auction as the `Backend` |
"""
