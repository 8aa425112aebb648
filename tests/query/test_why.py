"""The words that made a file what it is, a host reached, a process act."""

import json
from collections.abc import Iterator

import pytest

from intact.query.why import user_words, why
from intact.store.database import Database
from intact.store.runs import DataDirectory, Run
from tests.query import recording as made


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Run]]:
    data = DataDirectory(tmp_path_factory.mktemp("data"))
    with Database(data) as database:
        yield database, made.record(database, data)


def ids(answer: list[dict[str, object]]) -> list[int]:
    return [int(row["effect"]["id"]) for row in answer]  # type: ignore[index]


def test_a_file_is_followed_through_its_renames_to_the_users_words(small: tuple[Database, Run]) -> None:
    database, run = small
    answer = why(database, "/srv/out.txt", run.id)
    # newest first; the later file of the old name is not part of it
    assert ids(answer) == [made.CHOWN, made.RENAME, made.WRITE, made.OPEN]
    write = answer[2]
    assert write["link"]["confidence"] == 0.8
    assert write["tool_call"]["name"] == "Bash"
    assert (write["call"]["id"], write["turn"]["id"]) == (str(made.CALL), str(made.TURN))
    assert write["user_words"] == "make /srv/out.txt"
    assert write["process"]["argv"] == ["sh", "-c", "echo"]
    assert [row["id"] for row in write["ancestors"]] == [str(made.AGENT)]
    assert "input_messages" not in write["call"]
    stranger = answer[0]
    assert (stranger["link"], stranger["tool_call"], stranger["user_words"]) == (None, None, None)
    assert stranger["ancestors"] == []  # its own parent, says hostile input
    assert json.dumps(answer)


def test_a_bare_name_finds_the_file(small: tuple[Database, Run]) -> None:
    assert ids(why(small[0], "out.txt")) == [made.CHOWN, made.RENAME, made.WRITE, made.OPEN]


def test_a_path_that_is_not_whole_is_the_end_of_one(small: tuple[Database, Run]) -> None:
    assert ids(why(small[0], "srv/out.txt")) == [made.CHOWN, made.RENAME, made.WRITE, made.OPEN]
    assert why(small[0], "rv/out.txt") == []


def test_a_process_by_pid_and_by_id(small: tuple[Database, Run]) -> None:
    database, run = small
    assert ids(why(database, "102", run.id)) == [made.CHOWN]
    assert set(ids(why(database, "101"))) == {made.FORK, made.EXEC, made.EXIT, made.OPEN, made.WRITE, made.RENAME, 109}
    big = str(2**64 - 1)
    assert why(database, big) == why(database, "9" * 20) == []


def test_a_host_by_address_and_by_name(small: tuple[Database, Run]) -> None:
    database, _ = small
    assert ids(why(database, "10.0.0.7")) == [110, made.CONNECT]
    assert ids(why(database, "api.example.org")) == [made.CONNECT]
    assert why(database, "10.0.0.7")[1]["link"]["cause_kind"] == "housekeeping"
    port = why(database, "10.0.0.7")[1]["effect"]["port"]
    assert made.CONNECT in ids(why(database, f"10.0.0.7:{port}"))
    assert ids(why(database, f"api.example.org:{port}")) == [made.CONNECT]
    assert why(database, f"10.0.0.7:{port + 1}") == []


@pytest.mark.parametrize("target", ["/none", "none", "' OR 1 = 1 --", "a\tb\n/", "\\", "", "/srv/%", "\udc80/"])
def test_what_is_not_there_has_no_effects(small: tuple[Database, Run], target: str) -> None:
    assert why(small[0], target) == []
    assert why(small[0], target, "no such run") == []


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        (made.messages("a", "b"), "b"),
        ([*made.messages("a"), {"role": "user", "parts": [{"type": "tool_call_response", "response": "x"}]}], "a"),
        ([*made.messages("a", " "), {"role": "assistant", "parts": [{"type": "text", "content": "z"}]}], "a"),
        (
            [{"role": "user", "parts": [{"type": "text", "content": 1}, None, {"type": "text"}]}, 7, {"role": "user"}],
            None,
        ),
        ([], None),
        ({"role": "user"}, None),
    ],
)
def test_the_users_words(messages: object, words: str | None) -> None:
    assert user_words(messages) == words
