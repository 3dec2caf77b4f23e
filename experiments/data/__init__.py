"""Dialogues to serve: real files by their official layouts, and a small set written for this project.

    corpus = load(locate("shipped"))           # or a path, or the name of a fetched file
    corpus.title                               # 'data/shipped.json (14 dialogues, 117 turns)'
    conversation(corpus.dialogues[0], 0, [])   # the chat messages of the first turn

`dialogue` holds the vocabulary, one module per layout reads it (`coqa`, `quac`, `hotpotqa`, `inscit`, `sgd`, `native`),
`loading` recognises the layout by the content, `catalogue` knows the official files and their checksums, `fetch` gets
them, `place` finds them, `workload` turns dialogues into chats and start times.
"""

from experiments.data.catalogue import KNOWN, OFFICIAL, SUBSETS, KnownFile
from experiments.data.chats import Schedule, arrivals, conversation, gold_replies
from experiments.data.fetch import fetch
from experiments.data.layouts.dialogue import UNANSWERABLE, Corpus, Dialogue, Turn
from experiments.data.loading import SHIPPED, load, shipped
from experiments.data.place import cache_folder, find_own, find_real, locate

__all__ = [
    "KNOWN",
    "OFFICIAL",
    "SHIPPED",
    "SUBSETS",
    "UNANSWERABLE",
    "Corpus",
    "Dialogue",
    "KnownFile",
    "Schedule",
    "Turn",
    "arrivals",
    "cache_folder",
    "conversation",
    "fetch",
    "find_own",
    "find_real",
    "gold_replies",
    "load",
    "locate",
    "shipped",
]
