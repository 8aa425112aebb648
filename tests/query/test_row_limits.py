"""Which rows a reader sees, however the query is written; and that no hostile query gets through for any reader."""

# ruff: noqa: E501
import os
import time
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from intact.model.errors import IntactError, UsageError
from intact.model.facts import HostMetric
from intact.query.row_limits import Reader, Role
from intact.query.sql import OWNER, check, run_sql, run_sql_arrow
from intact.store.database import Database
from intact.store.measurements import insert_measurements
from intact.store.runs import DataDirectory
from intact.store.tables import BY_NAME, TABLES
from tests.query.test_sql import HOSTILE, OUT

ADMIN = Reader(role=Role.ADMIN, tenant_id=1)
OTHER = Reader(role=Role.ADMIN, tenant_id=2)
MEMBER = Reader(role=Role.MEMBER, tenant_id=1, run_ids=("mine",))
NOBODY = Reader(role=Role.MEMBER, tenant_id=1)
AUDITOR = Reader(role=Role.AUDITOR, tenant_id=1)
SECRET = "of-tenant-two"

MORE_HOSTILE = [
    # our own names, misused
    "SELECT Enum()", "SELECT Enum(1)", "SELECT Enum('x')", "SELECT Enum(pid) FROM net_event", "SELECT Enum(a, b) FROM run",
    "SELECT Enum(file('/etc/passwd'))", "SELECT Enum(gprocess.biz_type) INTO OUTFILE '/tmp/x' FROM net_event",
    "SELECT Enum(file_type) FROM file_agg_event FORMAT CSV", "SELECT Enum(file_type) FROM system.one", "SELECT gprocess.biz_type",
    "SELECT Enum(file_type) FROM file_agg_event SETTINGS readonly = 0", "SELECT Enum(file_type) FROM file_agg_event; DROP TABLE run",
    "SELECT Enum(gprocess.biz_type) FROM net_event WHERE file('/etc/passwd') = ''", "SELECT log_count FROM file('/etc/passwd')",
    "SELECT sum(log_count) FROM url('http://127.0.0.1/')", "SELECT Enum(file_type) FROM (SELECT * FROM file('/etc/passwd'))",
    "SELECT Enum(gprocess.biz_type) IN (SELECT name FROM system.users) FROM net_event",
    "SELECT gprocess.biz_type = (SELECT count() FROM system.one) FROM net_event",
    # SHOW of what is not ours
    "SHOW TAGS FROM system.one", "SHOW TAGS FROM run; DROP TABLE run", "SHOW METRICS FROM file('/x')", "SHOW TAG x VALUES FROM run",
    "SHOW TAG file_type VALUES FROM system.one", "SHOW TABLES FROM system", "SHOW TABLES LIKE '%'", "SHOW GRANTS", "SHOW USERS",
    "SHOW FULL TABLES", "SHOW COLUMNS FROM system.one", "SHOW INDEX FROM run", "SHOW CREATE DATABASE event", "SHOW CLUSTERS",
    "SHOW FUNCTIONS", "SHOW MERGES", "SHOW ENGINES", "SHOW TAGS FROM `system`.one", "SHOW TABLES FORMAT CSV",
    "SHOW TABLES INTO OUTFILE '/tmp/x'", "SHOW TAGS FROM run INTO OUTFILE '/tmp/x'",
    # spellings
    "ＳＥＬＥＣＴ 1", "SELECT\u00a0file('/etc/passwd')", "SELECT fi\u200ble('/etc/passwd')", "SELECT ﬁle('/etc/passwd')",
    "SELECT f\u0456le('/etc/passwd')", "SELECT \"file\"('/etc/passwd')", "SELECT/**/file/**/('/etc/passwd')",
    "SELECT file\n\t('/etc/passwd')", "SELECT --\nfile('/etc/passwd')", "SELECT /*! file('/etc/passwd') */", "sElEcT FiLe('/etc/passwd')",
    "SELECT 1 \u037e DROP TABLE run", "SELECT 1 ；DROP TABLE run", "SELECT 1\u2028; DROP TABLE run", "SELECT char(59); DROP TABLE run",
    "SELECT 1 # ; \n; DROP TABLE run", "SELECT $$a$$; DROP TABLE run", "SELECT 'a' 'b'; SELECT 2", "\ufeffDROP TABLE run",
    "SELECT 1;\x00DROP TABLE run", "SELECT x'00' FROM system.one", "SELECT `a``b` FROM `system`.`tables`",
    "SELECT * FROM `event`.`run`.`x`", "SELECT * FROM \"event.run\", system.one", "SELECT * FROM event.`../system.one`",
    # waiting, nesting, exhausting
    "SELECT sleep(1), sleep(1)", "SELECT sleepEachRow(3) FROM stage_count", "SELECT (SELECT sleep(3))", "SELECT if(1, sleep(3), 0)",
    "SELECT arrayMap(x -> sleep(x), [1, 2])", "WITH sleep(3) AS x SELECT x", "SELECT 1 WHERE sleep(3) = 0",
    "SELECT " * 300 + "1", "SELECT " + "(SELECT " * 60 + "1" + ")" * 60 + " FROM system.one", "SELECT 1" + " UNION ALL SELECT 1" * 3000,
    "SELECT " + "[" * 1000 + "]" * 1000, "SELECT " + "NOT " * 5000 + "1", "SELECT " + "-" * 3001 + "1; SELECT 2",
    "SELECT randomPrintableASCII(100)", "SELECT generateUUIDv4()", "SELECT rand()", "SELECT numbers FROM numbers(1)",
    "WITH RECURSIVE x AS (SELECT 1 AS a UNION ALL SELECT a FROM x, system.one) SELECT * FROM x",
    # writing and configuring
    "INSERT INTO FUNCTION file('/tmp/x', 'CSV') SELECT 1", "SELECT * FROM run INTO OUTFILE '/tmp/x' AND STDOUT", "REPLACE TABLE run (a Int8)",
    "CREATE TABLE x AS SELECT 1", "CREATE VIEW x AS SELECT 1", "CREATE DICTIONARY x (a Int8) PRIMARY KEY a", "UNDROP TABLE run",
    "MOVE PARTITION x", "ALTER TABLE run UPDATE name = '' WHERE 1", "ALTER TABLE run MODIFY TTL now()", "SET ROLE x", "SET allow_ddl = 1",
    "BEGIN", "COMMIT", "START TRANSACTION", "PREPARE x AS SELECT 1", "EXECUTE AS x SELECT 1", "CALL x()", "LOCK TABLES run READ",
    "COPY run TO '/tmp/x'", "LOAD DATA INFILE '/etc/passwd' INTO TABLE run", "PRAGMA x", "IMPORT TABLE x", "VACUUM", "ANALYZE run",
    "SELECT 1 FROM run WHERE 1 PARALLEL WITH DROP TABLE run", "(SELECT 1) INTO OUTFILE '/tmp/x'", "FROM run SELECT 1 INTO OUTFILE '/tmp/x'",
    "SELECT 1 LIMIT 1 SETTINGS max_execution_time = 0", "SELECT * FROM run SETTINGS additional_table_filters = {}",
    # dictionaries, remote, other readers
    "SELECT dictGetString('x', 'y', 1)", "SELECT dictHas('x', 1)", "SELECT * FROM remoteSecure('h', system.one)",
    "SELECT * FROM azureBlobStorage('x')", "SELECT * FROM hdfs('x')", "SELECT * FROM gcs('x')", "SELECT * FROM postgresql('h', 'd', 't')",
    "SELECT * FROM mongodb('h', 'd', 't')", "SELECT * FROM redis('h', 'k', 's')", "SELECT * FROM odbc('x', 'y')", "SELECT * FROM jdbc('x', 'y')",
    "SELECT * FROM deltaLake('x')", "SELECT * FROM iceberg('x')", "SELECT * FROM hudi('x')", "SELECT * FROM fileCluster('c', '/etc/passwd')",
    "SELECT * FROM urlCluster('c', 'http://127.0.0.1')", "SELECT * FROM numbers_mt(10)", "SELECT * FROM zeros(10)", "SELECT * FROM generate_series(1, 2)",
    "SELECT * FROM format('CSV', '1')", "SELECT * FROM viewIfPermitted(SELECT 1 ELSE null('a Int8'))", "SELECT * FROM mergeTreeProjection(event, run, p)",
    "SELECT * FROM timeSeriesData(x)", "SELECT * FROM prometheusQuery('x')", "SELECT * FROM ytsaurus('x')", "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM `/etc/passwd`", "SELECT * FROM \"file.csv\"", "SELECT lineAsString FROM 'http://127.0.0.1/'",
]  # fmt: skip


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with Database(DataDirectory(tmp_path_factory.mktemp("data"))) as opened:
        for tenant, run, name in ((1, "mine", "a"), (1, "theirs", "b"), (2, "far", SECRET)):
            shared = {
                "run_id": [run],
                "revision": pa.array([1], pa.uint64()),
                "tenant_id": pa.array([tenant], pa.uint32()),
            }
            opened.insert(BY_NAME["run"], pa.table({**shared, "name": [name]}), f"run{run}")
            opened.insert(BY_NAME["loss"], pa.table({**shared, "stage": [name], "cause": ["c"]}), f"loss{run}")
            opened.insert(BY_NAME["llm_content"], pa.table({**shared, "input_messages": [name]}), f"content{run}")
            times = {"at_ns": pa.array([1], pa.int64()), "end_ns": pa.array([2], pa.int64()), "kind": ["connect"]}
            rows = pa.table({k: v for k, v in {**shared, **times, "host": [name]}.items() if k != "revision"})
            opened.insert(BY_NAME["net_event"], rows, f"net{run}")
        yield opened


def names(database: Database, reader: Reader, sql: str = "SELECT name FROM run") -> list[Any]:
    return sorted(row[0] for row in run_sql(database, sql, reader=reader).rows)


@pytest.mark.parametrize(
    ("reader", "seen"),
    [
        (OWNER, ["a", "b", SECRET]),
        (ADMIN, ["a", "b"]),
        (OTHER, [SECRET]),
        (MEMBER, ["a"]),
        (NOBODY, []),
        (AUDITOR, ["a", "b"]),
    ],
)
def test_a_reader_sees_the_rows_of_its_tenant_and_role(database: Database, reader: Reader, seen: list[str]) -> None:
    assert names(database, reader) == sorted(seen)
    assert names(database, reader, "SELECT host FROM event.net_event AS n WHERE n.signal_source = 8") == sorted(seen)
    assert names(database, reader, "SELECT stage FROM loss WHERE run_id IN (SELECT run_id FROM run)") == sorted(seen)
    content = run_sql(database, "SELECT input_messages FROM llm_content", reader=reader).rows
    assert sorted(row[0] for row in content) == ([] if reader is AUDITOR else sorted(seen))


@pytest.mark.parametrize(
    ("hosts", "seen"),
    [(None, ["1", "2"]), (("1",), ["1"]), (("2", "1"), ["1", "2"]), ((), []), (("x') OR 1 --",), []), (("3",), [])],
)
def test_measurements_are_those_of_the_hosts_of_a_reader(
    database: Database, hosts: tuple[str, ...] | None, seen: list[str]
) -> None:
    reader = Reader(role=Role.ADMIN, tenant_id=3, hosts=hosts)
    when = 1_900_000_000_000_000_000
    metrics = [HostMetric(id=n, name=f"{n}", value=1.0, unit="%", at_ns=when, labels={"host": f"{n}"}) for n in (1, 2)]
    insert_measurements(database, metrics, tenant_id=3)
    for sql in (
        "SELECT DISTINCT name FROM host_metric", "SELECT DISTINCT m.name FROM event.host_metric AS m WHERE 1 OR 1",
        "WITH x AS (SELECT * FROM host_metric) SELECT DISTINCT name FROM x", "SELECT any(name) FROM host_metric GROUP BY name",
        "SELECT DISTINCT name, 'web-1' AS labels FROM host_metric", "SELECT name FROM host_metric GROUP BY name, labels",
    ):  # fmt: skip
        assert names(database, reader, sql) == seen, sql


@pytest.mark.parametrize(
    ("table", "columns"),
    [("tool_call", ("arguments", "arguments_text", "result")), ("mcp_call", ("arguments", "result", "error"))],
)
def test_an_auditor_finds_empty_what_was_said_to_tools(
    database: Database, table: str, columns: tuple[str, ...]
) -> None:
    shared = {
        "run_id": [f"said-{table}"],
        "revision": pa.array([1], pa.uint64()),
        "tenant_id": pa.array([4], pa.uint32()),
    }
    database.insert(
        BY_NAME[table], pa.table({**shared, **{name: ["secret words"] for name in columns}}), f"said{table}"
    )
    for sql in (
        f"SELECT * FROM {table}", f"SELECT {', '.join(columns)} FROM event.{table} AS t", f"SELECT t.{columns[0]} FROM {table} t",
        f"SELECT concat({', '.join(f'toString({each})' for each in columns)}) FROM {table}",
        f"SELECT count() FROM {table} WHERE toString({columns[0]}) LIKE '%secret%'", f"SELECT COLUMNS('a') FROM {table}",
        f"WITH x AS (SELECT * FROM {table}) SELECT * FROM x WHERE run_id IN (SELECT run_id FROM {table} WHERE {columns[0]} != '')",
    ):  # fmt: skip
        found = str(run_sql(database, sql, reader=Reader(role=Role.AUDITOR, tenant_id=4)).rows)
        assert "secret words" not in found
        assert "count" not in sql or found == "[[0]]"
    assert "secret words" in str(
        run_sql(database, f"SELECT * FROM {table}", reader=Reader(role=Role.ADMIN, tenant_id=4)).rows
    )


# ways to name a table; each has to be limited or refused
WAYS = [
    "SELECT * FROM run", "SELECT name FROM event.run", "SELECT r.name FROM `run` AS r", "SELECT run.name FROM run", "SELECT * FROM (SELECT * FROM run)",
    "WITH x AS (SELECT * FROM run) SELECT * FROM x", "WITH run AS (SELECT * FROM run) SELECT * FROM run",
    "SELECT * FROM run UNION ALL SELECT * FROM run", "SELECT (SELECT groupArray(name) FROM run)", "SELECT r.name FROM loss AS l JOIN run AS r ON 1",
    "SELECT r.name FROM loss AS l RIGHT JOIN run AS r ON l.run_id = r.run_id", "SELECT r.name FROM loss AS l FULL JOIN run AS r ON 0",
    "SELECT name FROM run ARRAY JOIN ['x'] AS x", "SELECT name FROM run PREWHERE 1", "SELECT name FROM run FINAL", "SELECT name FROM run SAMPLE 1",
    "SELECT name FROM run WHERE 1 OR tenant_id = 2", "SELECT name FROM run WHERE run_id IN run", "SELECT name FROM run WHERE run_id NOT IN (run)",
    "SELECT * FROM run CROSS JOIN loss", "SELECT * FROM run, loss", "SELECT arrayMap(x -> (SELECT any(name) FROM run), [1])",
    "SELECT name FROM run WHERE in(run_id, run)", "SELECT count() FROM loss WHERE run_id GLOBAL IN (SELECT run_id FROM run)", "SELECT EXISTS(SELECT * FROM run)",
    "SELECT name FROM (SELECT * FROM run AS run) AS run", "SELECT name FROM run AS tenant_id", "SELECT name, 1 AS tenant_id FROM run",
    "SELECT 1 AS tenant_id, name FROM run WHERE tenant_id = 1", "WITH 1 AS tenant_id SELECT name FROM run", "FROM run SELECT name",
    "SELECT * FROM run QUALIFY 1", "SELECT any(name) OVER () FROM run", "SELECT COLUMNS('name') FROM run", "SELECT * EXCEPT (run_id) FROM run",
    "SELECT * REPLACE (1 AS tenant_id) FROM run", "(SELECT name FROM run)", "SELECT name FROM run INTERSECT SELECT name FROM run",
    "SELECT name FROM run LIMIT 5 BY name", "SELECT name FROM run ORDER BY (SELECT any(name) FROM run)", "SELECT name FROM run GROUP BY ALL",
    "WITH RECURSIVE x AS (SELECT name FROM run UNION ALL SELECT name FROM x WHERE 0) SELECT * FROM x",
    "SELECT Enum(gprocess.biz_type), host FROM net_event", "SELECT host FROM net_event WHERE Enum(gprocess.biz_type) != 'x'",
    "SELECT (SELECT run_id FROM run AS r WHERE r.run_id = l.run_id) FROM loss AS l", "SELECT name FROM run WHERE notIn(run_id, loss)",
    "SELECT input_messages FROM llm_content", "SELECT name FROM event . run", "SELECT name FROM /* x */ run -- y", "SELECT name FROM\nrun",
]  # fmt: skip


@pytest.mark.parametrize("sql", WAYS)
@pytest.mark.parametrize(
    "reader", [ADMIN, MEMBER, NOBODY, AUDITOR], ids=lambda reader: f"{reader.role}{len(reader.run_ids)}"
)
def test_no_way_of_writing_shows_more(database: Database, sql: str, reader: Reader) -> None:
    try:
        told = repr(run_sql(database, sql, reader=reader).rows)
    except IntactError as error:
        told = str(error)
    assert told.isprintable()
    assert SECRET not in told
    if reader.role is Role.MEMBER:
        assert "'b'" not in told


def test_most_ways_work_for_a_limited_reader(database: Database) -> None:
    worked = 0
    for sql in WAYS:
        try:
            run_sql(database, sql, reader=ADMIN)
            worked += 1
        except IntactError:
            pass
    assert worked >= len(WAYS) * 2 // 3


def test_the_engine_limits_rows_also_by_itself(database: Database) -> None:
    from_engine = database.connect()
    rows = ", ".join(f"'{table}': '{shown}'" for table, shown in OTHER.conditions().items())
    from_engine.query(f"SET additional_table_filters = {{{rows}}}", "TSV")
    assert from_engine.query("SELECT name FROM run", "TSV").bytes().decode().split() == [SECRET]
    from_engine.close()
    assert set(MEMBER.conditions()) == {f"event.{table.name}" for table in TABLES}


@pytest.mark.parametrize("run", ["x' OR 1 --", "a b", "", "é"])
def test_ids_of_runs_are_checked(run: str) -> None:
    with pytest.raises(UsageError):
        Reader(role=Role.MEMBER, run_ids=(run,))


@pytest.mark.parametrize("sql", [*HOSTILE, *MORE_HOSTILE], ids=lambda sql: ascii(sql[:30]))
@pytest.mark.parametrize("reader", [OWNER, ADMIN], ids=["owner", "admin"])
def test_hostile_queries_are_refused_in_one_line(database: Database, sql: str, reader: Reader) -> None:
    started = time.monotonic()
    with pytest.raises(IntactError) as caught:
        run_sql(database, sql, reader=reader)
    assert isinstance(caught.value, UsageError), caught.value  # refused before it ran
    assert str(caught.value).isprintable()
    assert time.monotonic() - started < 5
    assert not os.path.exists(OUT)


def test_the_set_is_large_enough() -> None:
    assert len({*HOSTILE, *MORE_HOSTILE}) == len(HOSTILE) + len(MORE_HOSTILE) >= 250


def test_parameters_are_bound(database: Database) -> None:
    sql = "SELECT name FROM run WHERE name = {n:String} AND tenant_id = {t:UInt32}"
    assert run_sql(database, sql, parameters={"n": "a", "t": 1}).rows == [["a"]]
    assert run_sql(database, sql, parameters={"n": "a", "t": 1}, reader=ADMIN).rows == [["a"]]
    assert run_sql(database, sql, parameters={"n": "' OR 1 --", "t": 1}).rows == []
    assert run_sql_arrow(database, "SELECT {x:String} AS x", parameters={"x": "C:\\new\t\n'"}).column(
        0
    ).to_pylist() == ["C:\\new\t\n'"]


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("SELECT * FROM {t:Identifier}", {"t": "run"}),
        ("SELECT * FROM {t : Identifier}", {"t": "system.one"}),
        ("SELECT {t:Identifier} FROM run", {"t": "name"}),
        ("SELECT {x:String}", {}),
        ("SELECT {x:Array(String)}", {"x": "['a']"}),
        ("SELECT {x:String}", {"x y": "a"}),
        ("SELECT {x:String}", {"x": object()}),
        ("SELECT {x:UInt8}", {"x": float("nan")}),
        ("SELECT {x:String}", {"x": "a" * 30_000}),
    ],
)
@pytest.mark.parametrize("reader", [OWNER, ADMIN], ids=["owner", "admin"])
def test_parameters_that_are_no_values_are_refused(
    database: Database, sql: str, parameters: Any, reader: Reader
) -> None:
    with pytest.raises(UsageError):
        run_sql(database, sql, parameters=parameters, reader=reader)


def test_a_checked_query_tells_what_will_run(database: Database) -> None:
    assert "tenant_id = 1" in check(database, "SELECT name FROM run", ADMIN)
    assert "tenant_id" not in check(database, "SELECT name FROM run")


def test_the_same_text_shows_each_reader_its_own_each_time(database: Database) -> None:
    """The checks of a text are made once a reader, and connections are kept: neither shows what is another's."""
    sql = "SELECT run_id FROM run WHERE name != {name:String} ORDER BY run_id"
    readers = (OWNER, ADMIN, OTHER, MEMBER, NOBODY, AUDITOR)
    first = [run_sql(database, sql, reader=reader, parameters={"name": ""}).rows for reader in readers]
    assert first[0] != first[1] != first[2]
    assert first[4] == []
    for reader, rows in [*zip(readers, first, strict=True), *zip(reversed(readers), reversed(first), strict=True)]:
        assert run_sql(database, sql, reader=reader, parameters={"name": ""}).rows == rows
    with pytest.raises(UsageError):  # a text that is known stays one whose placeholders are of values alone
        run_sql(database, "SELECT * FROM {name:Identifier}", reader=ADMIN, parameters={"name": "run"})
    with pytest.raises(IntactError):
        run_sql(database, sql, reader=ADMIN)


def test_a_connection_that_failed_is_not_lent_again(database: Database) -> None:
    made: list[Any] = []

    def make() -> Any:
        made.append(database.connect())
        return made[-1]

    with database.lend("key", make) as one, database.lend("key", make) as other:
        assert other is not one
    with database.lend("key", make) as again:
        assert again is other
    with pytest.raises(ValueError, match="broken"), database.lend("key", make):
        raise ValueError("broken")
    with database.lend("key", make):
        assert len(made) == 3
