"""Answers are as the documents say, whatever is asked."""

import pytest

from tests.runtime.gateway.fuzzed.living import TIMES, Living

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("admin", [False, True], ids=["clients", "operators"])
def test_every_answer_is_documented_and_none_is_a_failure_of_ours(gateway: Living, admin: bool) -> None:
    pytest.importorskip("schemathesis", reason="no schemathesis: pip install 'iemas[dev]'")
    from tests.runtime.gateway.fuzzed import documents

    seen = documents.checked(gateway, 6 * TIMES, admin=admin)
    paths = gateway.ask("/openapi.json", admin=admin).json()["paths"]
    asked = {operation.partition(":")[0].partition(" ")[2] for operation in seen}
    assert asked == set(paths) - {"/iemas/v1/events"}
    assert gateway.faults() == ""


@pytest.mark.parametrize("admin", [False, True], ids=["clients", "operators"])
def test_other_methods_and_other_paths_are_told_in_the_schema(gateway: Living, admin: bool) -> None:
    paths = gateway.ask("/openapi.json", admin=admin).json()["paths"]
    for path, known in paths.items():
        for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"} - {name.upper() for name in known}:
            told = gateway.ask(path.replace("{name}", "x").replace("{id}", "x"), method=method, admin=admin)
            assert (told.status, told.json()["error"]["code"]) == (405, "method_not_allowed"), (method, path, told.body)
            assert told.headers["allow"]
    for path in ("/none", "/iemas/admin/v1/none", "/%00", "/%ff", "//", "/v1/../health"):
        told = gateway.ask(path, admin=admin)
        assert (told.status, told.json()["error"]["code"]) == (404, "unknown_url"), path


@pytest.mark.parametrize("admin", [False, True], ids=["clients", "operators"])
def test_all_that_needs_a_key_says_so_without_one(gateway: Living, admin: bool) -> None:
    document = gateway.ask("/openapi.json", admin=admin).json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            body = {} if method == "post" else None
            for given in ("", "Bearer", "Bearer x", "Basic eDp5", "Bearer \xff"):
                told = gateway.ask(path, body, method=method.upper(), headers={"authorization": given}, admin=admin)
                free = operation.get("security") == []
                assert (told.status == 401) != free, (method, path, given, told.status)
