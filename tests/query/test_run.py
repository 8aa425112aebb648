"""The object of `show --json` is the contract's, key by key, and quick."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from intact.model.errors import IntactError
from intact.query.facts import assign_agents
from intact.query.run import runs, show_run
from intact.store.database import Database
from intact.store.runs import DataDirectory, Run
from tests.query import recording as made
from tests.query.recording import at

# contract.md, `intact show --json`
KEYS = {
    "run": "id name command started_ns ended_ns exit_code host boot_id root_process_id kernel intact_version",
    "processes": "id pid ppid parent_id start_ns exec_ns end_ns exe comm argv cwd uid gid cgroup exit_code exit_signal "
    "agent_id",
    "agents": "id process_id root_process_id biz_type name recogniser score reason role first_seen_ns last_seen_ns",
    "turns": "id agent_id conversation_id call_ids started_ns ended_ns complete",
    "calls": "id process_id agent_id turn_id provider_name wire_api operation_name request_model response_model server_address "
    "server_port streamed status error_type conversation_id input_tokens output_tokens cache_read_input_tokens "
    "cache_creation_input_tokens reasoning_output_tokens cost_usd finish_reasons started_ns request_end_ns first_chunk_ns "
    "ended_ns complete missing_bytes problem input_messages output_messages system_instructions tool_definitions",
    "tool_calls": "id tool_call_id name arguments call_id result_call_id result is_error issued_ns answered_ns server",
    "mcp_calls": "id process_id transport method tool_name arguments result error started_ns ended_ns tool_call_id",
    "effects": "id kind process_id at_ns end_ns result path old_path flags mode bytes count address port protocol host_name "
    "argv uid gid new_uid new_gid detail",
    "links": "cause_id cause_kind effect_id basis confidence",
    "findings": "id detector severity title message at_ns agent_id evidence_ids state",
    "ledger": "complete stages clipped_calls notes",
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Run]]:
    data = DataDirectory(tmp_path_factory.mktemp("data"))
    with Database(data) as database:
        yield database, made.record(database, data)


@pytest.fixture(scope="module")
def shown(small: tuple[Database, Run]) -> dict[str, Any]:
    return show_run(small[0], small[1].id)


def by_id(shown: dict[str, Any], part: str, identity: int) -> dict[str, Any]:
    [row] = [row for row in shown[part] if row["id"] == str(identity)]
    return dict(row)


def test_every_key_of_the_contract_and_no_other(shown: dict[str, Any]) -> None:
    assert set(shown) == set(KEYS)
    for part, names in KEYS.items():
        rows = shown[part] if isinstance(shown[part], list) else [shown[part]]
        assert rows
        for row in rows:
            assert set(row) == set(names.split()), part
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown


def test_ids_are_text_and_lists_in_order(shown: dict[str, Any]) -> None:
    def walk(value: Any, name: str) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                walk(item, key)
        elif isinstance(value, list):
            for item in value:
                walk(item, name.removesuffix("s"))
        elif name == "id" or name.endswith("_id"):
            assert value is None or isinstance(value, str), name

    walk(shown, "")
    for part, key in {
        "processes": "start_ns", "agents": "first_seen_ns", "turns": "started_ns", "calls": "started_ns",
        "tool_calls": "issued_ns", "effects": "at_ns", "findings": "at_ns",
    }.items():  # fmt: skip
        order = [(row[key], row["id"]) for row in shown[part]]
        assert order == sorted(order)


def test_the_last_revision_of_a_fact_is_shown(shown: dict[str, Any]) -> None:
    call = by_id(shown, "calls", made.CALL)
    assert (call["ended_ns"], call["complete"], call["finish_reasons"], call["cost_usd"]) == (
        at(2),
        True,
        ["tool_use"],
        0.25,
    )
    assert call["input_messages"] == made.CALL_FACT.input_messages
    assert (call["agent_id"], call["turn_id"]) == (str(made.AGENT), str(made.TURN))
    tool = by_id(shown, "tool_calls", made.TOOL)
    assert (tool["result"], tool["is_error"]) == ([{"type": "text", "text": "1\x1b"}], False)
    assert tool["arguments"] == made.TOOL_FACT.arguments
    assert by_id(shown, "mcp_calls", made.MCP)["arguments"] == {"a": None}
    assert len(shown["calls"]) == 2


def test_processes_know_their_agent(shown: dict[str, Any]) -> None:
    agents = {row["id"]: row["agent_id"] for row in shown["processes"]}
    assert agents == {str(made.AGENT): str(made.AGENT), str(made.SHELL): str(made.AGENT), str(made.STRANGER): None}
    ring: list[dict[str, Any]] = [{"id": str(n), "parent_id": str((n + 1) % 1000)} for n in range(1000)]
    assert assign_agents(ring, []) == {}


def test_effects_are_told_as_they_were(shown: dict[str, Any]) -> None:
    rename = by_id(shown, "effects", made.RENAME)
    assert (rename["kind"], rename["path"], rename["old_path"]) == ("file_rename", "/srv/out.txt", "/srv/tmp")
    assert rename["detail"]["path_unresolved"] is True
    assert rename["detail"]["path_from_file"] is True
    assert (rename["bytes"], rename["argv"], rename["new_uid"], rename["mode"]) == (None, None, None, None)
    opened = by_id(shown, "effects", made.OPEN)
    assert (opened["kind"], opened["flags"], opened["mode"], opened["detail"]["fd"]) == ("file_open", 577, 0o644, 3)
    chown = by_id(shown, "effects", made.CHOWN)
    assert (chown["result"], chown["uid"], chown["new_uid"], chown["new_gid"]) == (-1, 1000, 5, 6)
    write = by_id(shown, "effects", made.WRITE)
    assert (write["kind"], write["bytes"], write["count"], write["detail"]["fd_kind"]) == (
        "file_write",
        2,
        1,
        "regular",
    )
    fork = by_id(shown, "effects", made.FORK)
    assert (fork["process_id"], fork["detail"]["child_id"], fork["detail"]["is_thread"]) == (
        str(made.AGENT),
        str(made.SHELL),
        False,
    )
    executed = by_id(shown, "effects", made.EXEC)
    assert (executed["path"], executed["argv"], executed["detail"]["cwd"]) == ("/bin/sh", ["sh", "-c", "echo"], "/srv")
    assert by_id(shown, "effects", made.EXIT)["detail"]["exit_code"] == 3
    connect = by_id(shown, "effects", made.CONNECT)
    assert (connect["address"], connect["port"], connect["protocol"], connect["end_ns"]) == (
        "10.0.0.7",
        443,
        "tcp",
        at(0.95),
    )
    assert by_id(shown, "effects", 110)["bytes"] == 30


def test_the_highest_revision_of_a_link_stands_and_a_withdrawn_one_is_gone(shown: dict[str, Any]) -> None:
    found = {row["effect_id"]: row for row in shown["links"]}
    assert len(found) == len(shown["links"]) == 6
    assert found[str(made.WRITE)] == {
        "cause_id": str(made.TOOL), "cause_kind": "tool_call", "effect_id": str(made.WRITE), "basis": ["ancestry", "bracket"],
        "confidence": 0.8,
    }  # fmt: skip
    assert found[str(made.CONNECT)]["cause_kind"] == "housekeeping"
    assert str(made.EXIT) not in found


def test_the_ledger_adds_up(shown: dict[str, Any]) -> None:
    ledger = shown["ledger"]
    assert ledger["complete"] is False
    assert ledger["stages"] == [
        {"stage": "collect", "seen": 20, "passed": 19, "lost": {}},
        {"stage": "decode", "seen": 20, "passed": 19, "lost": {"rejected": 1}},
        {"stage": "assemble", "seen": None, "passed": None, "lost": {"not_heard": 1}},
    ]
    assert ledger["clipped_calls"] == [str(made.CALL), str(made.CALL_2)]
    assert ledger["notes"] == ["one record was damaged", "said for its own sake"]


def test_the_run_itself(small: tuple[Database, Run], shown: dict[str, Any]) -> None:
    database, run = small
    assert shown["run"]["id"] == run.id
    assert shown["run"]["root_process_id"] == str(run.root_process_id)
    assert (shown["run"]["command"], shown["run"]["exit_code"]) == (["agent", "-p"], 0)
    assert runs(database) == [shown["run"]]
    with pytest.raises(IntactError, match="not in the store"):
        show_run(database, "nothing' OR 1 = 1 --")
