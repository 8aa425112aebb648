"""Forks, execs and exits: who is told of, and names that are no text."""

from intact.decode.stage import decode
from intact.model.effects import Kind
from intact.model.identity import host_hash, process_id
from tests.decode import made
from tests.decode.made import HOST


def told(*records: made.Made) -> list[dict[str, object]]:
    batches = [piece.effects["process"] for piece in decode([made.raw(records)], HOST) if "process" in piece.effects]
    return [row for batch in batches for row in batch.to_pylist()]


def test_a_fork_tells_the_child_and_who_made_it() -> None:
    (row,) = told(made.fork(1_000, 4321, h_tgid=1234, h_tid=1234))
    assert (row["kind"], row["child_pid"], row["pid"]) == (Kind.FORK, 4321, 1234)
    assert row["child_id"] == process_id(host_hash(HOST.boot_id), 4321, 999)


def test_a_program_whose_name_is_no_text_keeps_every_byte_told() -> None:
    argv = b"/srv/non-utf8-\xff-agent\0--x\xfe\0"
    (row,) = told(*made.exec_(1_000, b"/srv/non-utf8-\xff-agent", argv))
    assert row["exe"] == "/srv/non-utf8-\\xff-agent"
    assert row["argv"] == ["/srv/non-utf8-\\xff-agent", "--x\\xfe"]
