"""What can go wrong between the router and its engines; every message names the culprit and the remedy."""


class ServingError(RuntimeError):
    """Root of the errors of `runtime`; the command line turns each into one line and exit code 2."""


class EngineError(ServingError):
    """An engine could not be started or reached, or it answered with nonsense.

    Common causes: the server died (the last lines of its log are in the message), the port is taken,
    the URL does not speak vLLM's API.
    """


class EngineDownError(EngineError):
    """An engine cannot be reached at all: its process is gone, or nobody listens at its address."""


class EngineBusyError(EngineError):
    """An engine that is well and takes no more requests for now (HTTP 429 or 503).

    Args:
        message: who is busy.
        retry_after_s: seconds after which to ask again.
    """

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ModelError(ServingError):
    """A model folder is not one, a model package does not match its checksum, or its format is unknown."""


class RequestError(ServingError):
    """A request that no engine could serve: empty, longer than any context, or with a report that money cannot say."""


class LedgerError(ServingError):
    """Books that cannot be opened, or an entry that would charge twice or settle what was never held."""


class LedgerBusyError(LedgerError):
    """Books that cannot be written just now: another process holds them, or the disk is full. Nothing was entered."""
