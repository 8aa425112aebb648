"""`Enum(tag)`, dotted tags and counters mean what DeepFlow's users know."""

from collections.abc import Iterator

import pytest
import sqlglot

from intact.model.effects import Kind
from intact.model.errors import UsageError
from intact.model.facts import Agent, Process
from intact.model.slice import Slice
from intact.query.row_limits import Reader
from intact.query.sql import run_sql
from intact.query.translate import needs_translation, translate
from intact.store.database import Database
from intact.store.ingest import ingest_run
from intact.store.runs import DataDirectory
from intact.store.segments import SegmentWriter
from tests.store.slices import HOST, T0, effects

CHINESE = Reader(language="zh")
AGENT, CHILD, STRANGER = 11, 12, 13


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """An agent connects, its child accepts and writes, a stranger connects and reads."""
    data = DataDirectory(tmp_path_factory.mktemp("data"))
    agent = Agent(
        id=AGENT, process_id=AGENT, root_process_id=1, biz_type=1, name="a", recogniser="r", score=1.0, reason="x",
        role="agent", first_seen_ns=T0, last_seen_ns=T0,
    )  # fmt: skip
    processes = (
        Process(id=AGENT, pid=1, start_ns=T0, comm="agent"),
        Process(id=STRANGER, pid=3, start_ns=T0, comm="sh"),
    )
    net = effects(
        "net", 3, kind=[int(Kind.CONNECT), int(Kind.ACCEPT), int(Kind.CONNECT)], process_id=[AGENT, CHILD, STRANGER],
        socket=[1, 2, 3], address="10.0.0.7", local_address="10.0.0.1", port=443, local_port=50000, family=2, at_ns=T0,
        protocol=6,
    )  # fmt: skip
    io = effects(
        "io", 2, kind=[int(Kind.FILE_WRITE), int(Kind.FILE_READ)], process_id=[CHILD, STRANGER], path="/srv/a",
        fd_kind=[1, 4], bytes=10, count=2, at_ns=T0, end_ns=T0,
    )  # fmt: skip
    fork = effects(
        "process", 1, kind=int(Kind.FORK), process_id=AGENT, child_id=CHILD, child_pid=2, comm="agent", at_ns=T0
    )
    run = data.new_run(HOST, name="r", command=["x"], started_ns=T0)
    with SegmentWriter(run.segments, HOST) as writer:
        writer.write(Slice(until_ns=T0, facts=(*processes, agent), effects={**net, **io, **fork}))
    with Database(data) as opened:
        ingest_run(opened, run, lambda pieces, _: iter(pieces))
        yield opened


def test_the_business_type_of_either_side(database: Database) -> None:
    sql = "SELECT Enum(gprocess.biz_type_0) FROM net_event WHERE Enum(gprocess.biz_type_0) = 'AI-Agent'"
    answer = run_sql(database, sql)
    assert (answer.names, answer.rows) == (("Enum(gprocess.biz_type_0)",), [["AI-Agent"]])
    both = "SELECT gprocess.biz_type_0, gprocess.biz_type_1 FROM net_event ORDER BY gprocess_id_0, gprocess_id_1"
    assert run_sql(database, both).rows == [[0, 1], [1, 0], [0, 0]]
    assert run_sql(database, both).names == ("gprocess.biz_type_0", "gprocess.biz_type_1")
    sql = "SELECT DISTINCT Enum(n.gprocess.biz_type) AS t FROM net_event AS n ORDER BY t"
    assert run_sql(database, sql, reader=CHINESE).rows == [["智能体"], ["默认"]]


def test_a_number_in_quotes_is_a_label_or_the_value(database: Database) -> None:
    tree = translate(
        sqlglot.parse_one("SELECT 1 FROM net_event WHERE Enum(gprocess.biz_type_0) = '0'", dialect="clickhouse"), "en"
    )
    text = tree.sql("clickhouse")
    assert "gprocess_id_0 <> 0" in text
    assert ", 1, 0) = 0" in text
    count = "SELECT count() FROM net_event WHERE Enum(gprocess.biz_type_0) {}"
    assert run_sql(database, count.format("= '0'")).rows == [[1]]  # the stranger; the accept has no client of ours
    assert run_sql(database, count.format("!= '0'")).rows == [[1]]
    assert run_sql(database, count.format("= '1'")).rows == [[1]]
    assert run_sql(database, count.format("IN ('AI-Agent', 'Default')")).rows == [[3]]


def test_a_direct_filter_asks_for_ids(database: Database) -> None:
    tree = translate(
        sqlglot.parse_one("SELECT 1 FROM net_event WHERE gprocess.biz_type_0 = 0", dialect="clickhouse"), "en"
    )
    text = tree.sql("clickhouse")
    assert "gprocess_id_0 IN (SELECT id FROM event.gprocess_map" in text
    assert "gprocess_id_0 <> 0" in text
    assert "transform" not in text
    assert run_sql(database, "SELECT count() FROM net_event WHERE gprocess.biz_type_0 = 0").rows == [[1]]
    assert run_sql(database, "SELECT count() FROM net_event WHERE gprocess.biz_type >= 1").rows == [[2]]


def test_a_physical_column_stays_as_it_is(database: Database) -> None:
    sql = "SELECT biz_type FROM agent WHERE biz_type = 1 LIMIT 10"
    assert not needs_translation(sqlglot.parse_one(sql, dialect="clickhouse"))
    assert run_sql(database, sql).rows == [[1]]
    aliased = "SELECT gprocess.biz_type FROM agent AS gprocess"
    assert run_sql(database, aliased).rows == [[1]]


def test_enumerations_of_columns(database: Database) -> None:
    sql = "SELECT Enum(file_type) AS t, Enum(event_type), Enum(kind), Enum(signal_source) FROM file_agg_event ORDER BY t DESC"
    assert run_sql(database, sql).rows == [
        ["Regular", "File write", "File write", "IO"],
        ["Network", "File read", "File read", "IO"],
    ]
    assert {row[0] for row in run_sql(database, sql, reader=CHINESE).rows} == {"普通文件", "网络文件"}
    grouped = "SELECT Enum(protocol), count() FROM net_event GROUP BY Enum(protocol)"
    assert run_sql(database, grouped).rows == [["TCP", 3]]
    with pytest.raises(UsageError, match="no enumeration"):
        run_sql(database, "SELECT Enum(pid) FROM net_event")


def test_counters(database: Database) -> None:
    sql = "SELECT Sum(log_count), Sum(event_count), Sum(bytes), Count(row) FROM file_agg_event"
    answer = run_sql(database, sql)
    assert answer.rows == [[2, 4, 20, 2]]
    assert answer.names == ("Sum(log_count)", "Sum(event_count)", "Sum(bytes)", "Count(row)")


def test_both_ends_of_a_connection(database: Database) -> None:
    sql = (
        "SELECT role, gprocess_id_0, gprocess_id_1, ip4_0, ip4_1, port_0, port_1, Enum(is_ipv4) FROM net_event "
        "ORDER BY gprocess_id"
    )
    assert run_sql(database, sql).rows == [
        ["client", AGENT, 0, "10.0.0.1", "10.0.0.7", 50000, 443, "IPv4"],
        ["server", 0, CHILD, "10.0.0.7", "10.0.0.1", 443, 50000, "IPv4"],
        ["client", STRANGER, 0, "10.0.0.1", "10.0.0.7", 50000, 443, "IPv4"],
    ]


def test_show(database: Database) -> None:
    tags = {row[0]: row for row in run_sql(database, "SHOW TAGS FROM file_agg_event", reader=CHINESE).rows}
    assert tags["gprocess.biz_type"][1:3] == ["进程业务类型", "int_enum"]
    assert ["event_count", "Aggregated Event Count", "counter", ""] in run_sql(
        database, "show metrics from file_agg_event"
    ).rows
    assert run_sql(database, "SHOW TAG gprocess.biz_type VALUES FROM event.net_event").rows == [
        ["0", "Default"],
        ["1", "AI-Agent"],
    ]
    assert ["run", "Recordings"] in run_sql(database, "SHOW TABLES FULL").rows
