"""What can go wrong between the router and its engines; every message names the culprit and the remedy.

Of an engine's failures these are told apart, since each is another's fault and calls for another answer:

| error | is | nothing was answered yet | then |
|---|---|---|---|
| `Refused` | a `RequestError` | yes | nobody's fault: the client gets the engine's own words |
| `Busy` | an `EngineError` | yes | auctioned again; the engine is let alone for a while |
| `Unreachable` | an `EngineError` | yes | auctioned again; the engine is left out |
| any other `EngineError` | | yes | auctioned again; the engine is to blame if another serves it |
| `Broken` | an `EngineError` | no | the client is told; the engine is to blame |
"""


class ServingError(RuntimeError):
    """Root of the errors of `runtime`; the command line turns each into one line and exit code 2."""


class EngineError(ServingError):
    """An engine could not be started or reached, or it answered with nonsense.

    Common causes: the server died (the last lines of its log are in the message), the port is taken,
    the URL does not speak vLLM's API.
    """


class Unreachable(EngineError):
    """An engine cannot be reached at all: its process is gone, or nobody listens at its address.

    Args:
        message: who, and how one knows.
        sent: whether it may have got the request, and be gone because of it.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class Busy(EngineError):
    """An engine that is well and takes no more requests for now (HTTP 429 or 503).

    Args:
        message: who is busy.
        retry_after_s: seconds after which to ask again.
    """

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Stopped(EngineError):
    """We are being stopped, so that nobody serves a request any more."""


class Left(EngineError):
    """The agents that could have served a request were taken out of the fleet while it waited."""


class FailedEverywhereError(EngineError):
    """A request that failed on each of the agents it was tried on: likely the cause itself, and not to be tried on."""


class Broken(EngineError):
    """An answer that began and cannot be ended: cut off, silent for too long, or nonsense.

    Args:
        message: who broke it off, and how.
        status: what the engine itself said in an error event, as an HTTP status; None where it said nothing.
        body: that event's JSON.
    """

    def __init__(self, message: str, status: int | None = None, body: bytes = b"") -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class CutOff(Broken):
    """An answer that we ended ourselves, before its engine did; the message is for who reads it."""


class ModelError(ServingError):
    """A model folder is not one, a model package does not match its checksum, or its format is unknown."""


class RequestError(ServingError):
    """A request that no engine could serve: empty, longer than any context, or with a report that money cannot say."""


class Refused(RequestError):
    """An engine refuses this request (HTTP 4xx): its words are for the client, and nobody is to blame.

    Args:
        message: who refuses it, and why.
        status: the engine's HTTP status.
        body: the engine's answer, as it stands.
    """

    def __init__(self, message: str, status: int = 400, body: bytes = b"") -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class LedgerError(ServingError):
    """Books that cannot be opened, or an entry that would charge twice or settle what was never held."""


class LedgerBusyError(LedgerError):
    """Books that cannot be written just now: another process holds them, or the disk is full. Nothing was entered."""


class InsufficientError(LedgerError):
    """An account, or a key of it, that has too little left for what is to be held. Nothing was entered."""


class UncoveredError(InsufficientError):
    """An account that has too little left for what a request is reported to be worth. It entered no round."""


#: As `Unreachable` and `Busy` were called.
EngineDownError = Unreachable
EngineBusyError = Busy
