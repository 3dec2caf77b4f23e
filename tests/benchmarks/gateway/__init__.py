"""How good a gateway is, whoever wrote it: any proxy of OpenAI's API at an address is judged by the same code.

    fake_engine, answers    an engine that does what it is told, wrong things too
    wire                    HTTP/1.1 as it goes over a socket
    peers, forwarder        proxies to be judged, each started over the same engines
    load                    CPU time per request, and how much later answers come than without a proxy
    conformance             named checks with real clients and raw sockets
    chaos, poison, streams  engines that die and err while conversations go on

`make bench-gateway` runs all of it; `python -m tests.benchmarks.gateway --help` tells the parts.
"""
