"""Nobody without a valid token is let in, and what is another's is as if it were not there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from intact.model.errors import IntactError, UsageError
from intact.serve.auth import ADMIN, DEV, Tokens, User
from intact.serve.settings import is_loopback_name, read_settings
from intact.store.runs import Run
from tests.serve.running import Server, command, record, serving, wait_for_run
from tests.store.slices import T0

ROUTES = [
    "/metrics", "/api/runs", "/api/runs/x", "/api/runs/x/effects", "/api/agents", "/api/ledger", "/api/live", "/api/catalog",
    "/api/policies", "/nowhere",
]  # fmt: skip


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str], dict[str, Run]]]:
    """A serve with runs of two tenants, and a token of each."""
    data = tmp_path_factory.mktemp("data")
    tokens = Tokens(data)
    given = {
        "one": tokens.add("one"),
        "two": tokens.add("two", tenant_id=2),
        "chief": tokens.add("chief", role=ADMIN),
    }
    runs = {"one": record(data), "two": record(data, name="other", tenant_id=2, started_ns=T0 + 1)}
    with serving(data) as server:
        for name, run in runs.items():
            wait_for_run(server, run, given[name])
        yield server, given, runs


def test_a_token_is_kept_as_a_hash_and_known_again(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    one, two = tokens.add("one"), tokens.add("two", role=ADMIN, tenant_id=7)
    text = tokens.path.read_text()
    assert one.rpartition("_")[2] not in text
    assert tokens.path.stat().st_mode & 0o777 == 0o600
    other = Tokens(tmp_path)
    assert other.user(f"Bearer {one}") == User(name="one")
    assert other.user(f"bearer  {two}") == User(name="two", role=ADMIN, tenant_id=7)
    for wrong in (
        None,
        "",
        "Bearer",
        one,
        f"Basic {one}",
        f"Bearer {one[:-1]}",
        f"Bearer {one[:-1]}!",
        "Bearer " + "x" * 9,
    ):
        assert other.user(wrong) is None
    mixed = "_".join([*one.split("_")[:2], two.split("_", 2)[2]])
    assert other.user(f"Bearer {mixed}") is None
    tokens.remove("one")
    assert other.user(f"Bearer {one}") is None
    with pytest.raises(UsageError, match="there is a token of two"):
        tokens.add("two")
    with pytest.raises(UsageError, match="letters"):
        tokens.add("a b\n")
    with pytest.raises(UsageError, match="no token"):
        tokens.remove("one")


def test_a_file_of_tokens_that_cannot_be_read_lets_nobody_in(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    token = tokens.add("one")
    tokens.path.write_text("{")
    for _ in range(2):
        with pytest.raises(IntactError, match="cannot be read"):
            tokens.user(f"Bearer {token}")


def test_dev_is_for_loopback_only() -> None:
    assert read_settings(None, {"auth": "dev", "host": "::1"}).host == "::1"
    for host in ("0.0.0.0", "::", "example.org"):
        with pytest.raises(UsageError, match="loopback only"):
            read_settings(None, {"auth": "dev", "host": host})
    assert all(is_loopback_name(name) for name in ("localhost", "127.0.0.1:8740", "[::1]:1", "[::1]"))
    assert not any(is_loopback_name(name) for name in ("", "evil.org", "localhost.evil.org:80", "127.0.0.1.evil.org"))
    assert DEV.role == ADMIN


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    config = tmp_path / "intact.yaml"
    for text, words in (
        ("serve: {prot: 1}", "serve.prot"), ("serve: {port: 70000}", "70000"), ("serve: [1]", "allowed: host"),
        ("a: [", "YAML"),
    ):  # fmt: skip
        config.write_text(text)
        with pytest.raises(UsageError, match=words):
            read_settings(config, {})
    config.write_text("other: 1\nserve: {port: 1234, auth: dev}")
    assert read_settings(config, {"port": None, "host": None}).port == 1234
    assert read_settings(config, {"port": 5}).port == 5


@pytest.mark.parametrize("path", ROUTES)
def test_without_a_valid_token_it_is_401(two: tuple[Server, dict[str, str], dict[str, Run]], path: str) -> None:
    server, given, _ = two
    for token in (None, "x", given["one"][:-2] + "zz"):
        answer = server.ask(path, token=token)
        assert (answer.status, answer.json["error"]["code"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert server.ask("/api/query", "POST", body=b"{").status == 401
    assert server.ask("/healthz").status == server.ask("/readyz").status == server.ask("/openapi.json").status == 200


def test_what_is_anothers_is_404(two: tuple[Server, dict[str, str], dict[str, Run]]) -> None:
    server, given, runs = two
    for mine, other in (("one", "two"), ("two", "one")):
        token = given[mine]
        assert [row["id"] for row in server.ask("/api/runs", token=token).json["rows"]] == [runs[mine].id]
        assert server.ask(f"/api/runs/{runs[mine].id}", token=token).status == 200
        unknown = server.ask("/api/runs/nothing", token=token)
        for path in ("", "/run", "/effects", "/links", "/ledger", "/calls"):
            answer = server.ask(f"/api/runs/{runs[other].id}{path}", token=token)
            assert (answer.status, answer.body) == (404, unknown.body)
        for path in ("/api/agents", "/api/ledger", "/api/live"):
            assert server.ask(path, token=token, run=runs[other].id).status == 404
        ledgers = server.ask("/api/ledger", token=token).json["rows"]
        assert [row["run_id"] for row in ledgers] == [runs[mine].id]
        assert {row["run_id"] for row in server.ask("/api/agents", token=token).json["rows"]} == {runs[mine].id}


def test_sql_shows_nothing_of_others(two: tuple[Server, dict[str, str], dict[str, Run]]) -> None:
    server, given, runs = two
    for mine in ("one", "two"):
        for table in ("process", "run", "file_mgmt_event", "llm_content", "manifest"):
            body = {"sql": f"SELECT DISTINCT run_id FROM {table} WHERE 1 OR run_id != ''"}
            answer = server.ask("/api/query", "POST", token=given[mine], body=body)
            assert answer.json["rows"] == [[runs[mine].id]], table


def test_only_an_admin_changes_policies(two: tuple[Server, dict[str, str], dict[str, Run]]) -> None:
    server, given, _ = two
    text = "name: quiet\nrules:\n  - id: no-curl\n    action: audit\n    exec: {path: curl}\n"
    refused = server.ask("/api/policies", "PUT", token=given["one"], body={"text": text})
    assert (refused.status, refused.json["error"]["code"]) == (403, "forbidden")
    wrong = server.ask("/api/policies", "PUT", token=given["chief"], body={"text": "name: quiet\nrules: 5\n"})
    assert wrong.status == 422
    assert "rules" in wrong.json["error"]["message"]
    assert server.ask("/api/policies", token=given["one"]).json["desired"] == {}


def test_a_token_made_or_taken_back_counts_at_once(two: tuple[Server, dict[str, str], dict[str, Run]]) -> None:
    server, _, runs = two
    data = str(runs["one"].directory.parents[1])
    made = command("token", "add", "late", "--data", data)
    token = made.stdout.decode().strip()
    assert server.ask("/api/runs", token=token).status == 200
    assert b"late  reader  tenant 1" in command("token", "list", "--data", data).stdout
    assert command("token", "remove", "late", "--data", data).returncode == 0
    assert server.ask("/api/runs", token=token).status == 401


def test_dev_lets_this_machine_in_and_no_page_of_another_site(tmp_path: Path) -> None:
    with serving(tmp_path, "--auth", "dev") as server:
        assert server.ask("/api/runs").json == {"rows": [], "next": None}
        for headers in ({"Host": "evil.org"}, {"Host": "localhost.evil.org:80"}, {"Sec-Fetch-Site": "cross-site"}):
            assert server.ask("/api/runs", headers=headers).status == 403
        assert "without a token" in server.end()
