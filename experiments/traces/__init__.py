"""Requests as they came: when, how long, and which of them begin alike. Imports `errors` and `files`.

    trace = load_trace("mooncake-conversation")    # or a path; docs/workloads.md has the layout for your own
    trace.first(1000).clipped(8192).scaled(2.0).stats()

`trace` holds the vocabulary, `layouts` has a module for each format, `loading` recognises it by the content,
`catalogue` knows the official files.
"""

from experiments.traces.catalogue import TRACES
from experiments.traces.loading import load_trace
from experiments.traces.trace import RequestTrace, TraceStats

__all__ = ["TRACES", "RequestTrace", "TraceStats", "load_trace"]
