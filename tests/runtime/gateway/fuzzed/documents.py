"""What is sent as the documents of a gateway have it, and beyond; answers are held to the documents."""

from collections import Counter
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    negative_data_rejection,
    positive_data_acceptance,
    unsupported_method,
)

from tests.runtime.gateway.fuzzed.living import ADMIN_KEY, TIMES, Living

#: Members that only agents look at are theirs to refuse.
_AGENTS = "/v1/"
#: Tests of their own ask these; and 503 and 504 say how things stand, which is no failure.
_ELSEWHERE = [ignored_auth, unsupported_method, not_a_server_error]
_FAILURES = (500, 502)
_QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def checked(gateway: Living, examples: int, *, admin: bool) -> Counter[str]:
    """Put so many requests to each operation of a document, as many that are against it; statuses that came.

    Raises:
        Exception: schemathesis', of an answer that is against the document.
    """
    told = gateway.ask("/openapi.json", admin=admin).json()
    url, key = (gateway.admin, ADMIN_KEY) if admin else (gateway.url, gateway.key)
    schema = schemathesis.openapi.from_dict(told)
    seen: Counter[str] = Counter()
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path == "/iemas/v1/events":
            # It does not end.
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _put(operation, mode, examples, url, key, seen)
    return seen


def _put(operation: Any, mode: GenerationMode, examples: int, url: str, key: str, seen: Counter[str]) -> None:
    excluded = list(_ELSEWHERE)
    if operation.path.startswith(_AGENTS):
        excluded += [negative_data_rejection, positive_data_acceptance]
    elif operation.method.upper() == "GET" or not any(body.is_required for body in operation.body):
        # Queries that nobody reads are nobody's, and nothing is as good as an object without members.
        excluded.append(negative_data_rejection)

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=TIMES == 1, suppress_health_check=_QUIET,
        phases=[Phase.explicit, Phase.generate],
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def put(case: Any) -> None:
        case.body = _whole(case.body)
        answer = case.call_and_validate(
            base_url=url, headers={"authorization": f"Bearer {key}"}, excluded_checks=excluded, timeout=30
        )
        seen[f"{operation.label}: {answer.status_code}"] += 1
        assert answer.status_code not in _FAILURES, answer.content
        assert b"Traceback" not in answer.content

    try:
        put()
    except Exception as error:
        if "Unsatisfiable" not in type(error).__name__:
            raise


def _whole(value: Any) -> Any:
    """The same with 5 for 5.0: JSON Schema knows no difference, and money does."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _whole(one) for name, one in value.items()}
    return [_whole(one) for one in value] if isinstance(value, list) else value
