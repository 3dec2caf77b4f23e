"""Dialogues to serve: real files by their official layouts, and a small set written for this project.

    corpus = load(locate("shipped"))           # or a path, or the name of a fetched file
    corpus.title                               # 'data/shipped.json (14 dialogues, 117 turns)'
    conversation(corpus.dialogues[0], 0, [])   # the chat messages of the first turn

`layouts` holds the vocabulary and a module for each format, `loading` recognises it by the content, `catalogue` knows
the official files and their checksums, `fetch` gets them, `place` finds them, `chats` turns dialogues into chats,
`arrivals` says when they begin. Imports `files`, and `answers` and `traces` for what it fetches.
"""

from experiments.data.arrivals import Arrivals, AtTimes, Bursts, Closed, Poisson
from experiments.data.catalogue import KNOWN, OFFERED, OFFICIAL, SUBSETS
from experiments.data.chats import Schedule, arrivals, conversation, gold_replies
from experiments.data.fetch import fetch
from experiments.data.layouts.dialogue import UNANSWERABLE, Corpus, Dialogue, Turn
from experiments.data.loading import SHIPPED, load, shipped
from experiments.data.place import find_own, find_real, locate
from experiments.files import KnownFile, cache_folder

__all__ = [
    "KNOWN",
    "OFFERED",
    "OFFICIAL",
    "SHIPPED",
    "SUBSETS",
    "UNANSWERABLE",
    "Arrivals",
    "AtTimes",
    "Bursts",
    "Closed",
    "Corpus",
    "Dialogue",
    "KnownFile",
    "Poisson",
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
