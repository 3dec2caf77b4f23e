"""What can go wrong between the router and its engines; every message names the culprit and the remedy."""


class RuntimeFault(RuntimeError):
    """Root of the errors of `runtime`; the command line turns each into one line and exit code 2."""


class EngineError(RuntimeFault):
    """An engine could not be started or reached, or it answered with nonsense.

    Common causes: the server died (the last lines of its log are in the message), the port is taken,
    the URL does not speak vLLM's API.
    """


class ModelError(RuntimeFault):
    """A model folder is not one, a model package does not match its checksum, or its format is unknown."""


class RequestError(RuntimeFault):
    """A request that no engine could serve: empty, or longer than the engine's context."""
