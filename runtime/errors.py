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


class ModelError(ServingError):
    """A model folder is not one, a model package does not match its checksum, or its format is unknown."""


class RequestError(ServingError):
    """A request that no engine could serve: empty, or longer than the engine's context."""


class LedgerError(ServingError):
    """Books that cannot be opened, or an entry that would charge twice or settle what was never held."""
