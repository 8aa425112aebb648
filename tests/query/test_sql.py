"""A query reads our tables and nothing else, whoever wrote it."""

import csv
import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from intact.model.errors import IntactError, UsageError
from intact.query.sql import Refused, as_csv, as_json, check_tree, run_sql, run_sql_arrow
from intact.store.database import Database
from intact.store.runs import DataDirectory
from intact.store.tables import BY_NAME, TABLES

OUT = "/tmp/intact-query-canary"

HOSTILE = [
    # more than one statement, or none
    "", " ; ", "-- nothing", "/* nothing */", "SELECT 1; SELECT 2", "SELECT 1; DROP TABLE run", "SELECT 1;; SELECT 2",
    "SELECT 1 /* ; */; INSERT INTO run VALUES (1)",
    # not a SELECT
    "INSERT INTO run (run_id) VALUES ('x')", "DROP TABLE run", "TRUNCATE TABLE run", "ALTER TABLE run DELETE WHERE 1",
    "CREATE TABLE x (a Int8) ENGINE = Memory", "CREATE FUNCTION f AS x -> x", "DELETE FROM run WHERE 1", "UPDATE run SET a = 1",
    "SET readonly = 0", "KILL QUERY WHERE 1", "SYSTEM SHUTDOWN", "SYSTEM FLUSH LOGS", "OPTIMIZE TABLE run FINAL", "USE system",
    "ATTACH DATABASE x ENGINE = Atomic", "DETACH TABLE run", "RENAME TABLE run TO x", "EXCHANGE TABLES run AND loss",
    "BACKUP TABLE run TO File('x')", "GRANT ALL ON *.* TO x", "EXPLAIN SELECT 1", "EXPLAIN AST SELECT 1", "CHECK TABLE run",
    "SHOW CREATE TABLE run", "SHOW DATABASES", "SHOW PROCESSLIST", "SHOW SETTINGS LIKE '%'", "DESCRIBE system.users",
    "DESCRIBE file('/etc/passwd')", "DESCRIBE TABLE run; SELECT 2", "WATCH run", "EXISTS TABLE run",
    # output elsewhere, other settings
    f"SELECT 1 INTO OUTFILE '{OUT}'", f"SELECT 1 INTO OUTFILE '{OUT}' TRUNCATE FORMAT CSV", "SELECT 1 FORMAT CSV",
    f"SELECT 1) INTO OUTFILE '{OUT}' --", f"SELECT * FROM (SELECT 1 INTO OUTFILE '{OUT}')", "SELECT 1 SETTINGS readonly = 0",
    "SELECT * FROM (SELECT 1 SETTINGS max_execution_time = 1000)", "SELECT 1) UNION ALL SELECT * FROM (system.one",
    f"SELECT 1) LIMIT 1 INTO OUTFILE '{OUT}' FORMAT CSV --", "SELECT 1 --\n; DROP TABLE run",
    # functions that read
    "SELECT file('/etc/passwd')", "SELECT `file`('/etc/passwd')", "SELECT FILE('/etc/passwd')", "SELECT file ('/etc/passwd')",
    "SELECT length(file('/etc/passwd'))", "SELECT 1 WHERE file('/etc/passwd') != ''", "SELECT 1 ORDER BY file('/etc/passwd')",
    "SELECT 1 GROUP BY file('/etc/passwd')", "SELECT 1 HAVING file('x') = ''", "SELECT (SELECT file('/etc/passwd'))",
    "WITH file('/etc/passwd') AS x SELECT x", "WITH x AS (SELECT file('/etc/passwd')) SELECT * FROM x",
    "SELECT arrayMap(x -> file(x), ['/etc/passwd'])", "SELECT * REPLACE (file('/etc/passwd') AS name) FROM run",
    "SELECT run_id APPLY file FROM run", "SELECT * APPLY(file) FROM run", "SELECT * APPLY(x -> file(x)) FROM run",
    "SELECT 1 LIMIT length(file('/etc/passwd'))", "SELECT 1 ORDER BY 1 WITH FILL FROM length(file('/etc/passwd'))",
    "SELECT 1 AS a, 2 AS b ORDER BY a WITH FILL INTERPOLATE (b AS length(file('/etc/passwd')))",
    "SELECT sum(1) OVER (ORDER BY 1 ROWS BETWEEN length(file('/etc/passwd')) PRECEDING AND CURRENT ROW)",
    "SELECT a FROM run ARRAY JOIN [file('/etc/passwd')] AS a", "SELECT 1 FROM run JOIN loss ON file('/etc/passwd') = ''",
    "SELECT 1 GROUP BY GROUPING SETS ((file('/etc/passwd')))", "SELECT 1 QUALIFY file('/etc/passwd') = ''",
    "SELECT dictGet('x', 'y', 1)", "SELECT joinGet('x', 'y', 1)", "SELECT hasColumnInTable('system', 'one', 'dummy')",
    # functions that wait or tell of the host
    "SELECT sleep(3)", "SELECT sleepEachRow(1) FROM run", "SELECT hostName()", "SELECT currentUser()", "SELECT version()",
    "SELECT getSetting('readonly')", "SELECT getMacro('x')", "SELECT @@version", "SELECT currentDatabase()", "SELECT tcpPort()",
    "SELECT getServerPort('tcp_port')", "SELECT serverUUID()", "SELECT fqdn()", "SELECT filesystemAvailable()",
    "SELECT showCertificate()", "SELECT throwIf(1)", "SELECT demangle(addressToSymbol(1))", "SELECT logTrace('x')",
    "SELECT catboostEvaluate('/x', 1)", "SELECT aiGenerateText('x')", "SELECT initializeAggregation('sum', 1)",
    "SELECT arrayReduce('sum', [1])", "SELECT formatQuery('SELECT 1')", "SELECT structureToProtobufSchema('a Int')",
    # table functions
    "SELECT * FROM file('/etc/passwd', 'LineAsString')", "SELECT * FROM url('http://127.0.0.1/', 'LineAsString')",
    "SELECT * FROM remote('127.0.0.1', system.one)", "SELECT * FROM s3('http://127.0.0.1/x')", "SELECT * FROM Python(sql)",
    "SELECT * FROM executable('x', 'TSV', 'a Int8')", "SELECT * FROM merge('system', '.*')", "SELECT * FROM numbers(10)",
    "SELECT * FROM sqlite('/x', 'y')", "SELECT * FROM mysql('h', 'd', 't', 'u', 'p')", "SELECT * FROM view(SELECT 1)",
    "SELECT * FROM values('a Int8', 1)", "SELECT * FROM cluster('x', system.one)", "SELECT * FROM input('a Int8')",
    "SELECT * FROM generateRandom('a Int8')", "SELECT * FROM null('a Int8')", "SELECT * FROM dictionary('x')",
    "SELECT * FROM (SELECT * FROM file('/etc/passwd'))", "SELECT * FROM run JOIN file('/etc/passwd') ON 1",
    "SELECT * FROM loop(run)",
    "SELECT 1 IN (SELECT * FROM file('/etc/passwd'))", "SELECT * FROM (EXPLAIN SELECT 1)", "SELECT * FROM (SHOW TABLES)",
    "SELECT 1 UNION ALL SELECT * FROM file('/etc/passwd')", "SELECT * FROM fuzzJSON('x')",
    "SELECT * FROM mergeTreeIndex(event, run)",
    # tables that are not ours
    "SELECT * FROM system.tables", "SELECT * FROM system.processes", "SELECT * FROM `system`.`one`",
    "SELECT * FROM \"system\".one",
    "SELECT * FROM system . one", "SELECT * FROM information_schema.tables", "SELECT * FROM run, system.one",
    "SELECT * FROM run WHERE run_id IN system.one", "SELECT * FROM run WHERE run_id NOT IN (system.one)",
    "SELECT * FROM run WHERE (run_id) IN (`system`.one)", "SELECT * FROM run JOIN system.users AS u ON 1",
    "WITH `system.one` AS (SELECT 1) SELECT * FROM `system.one`, system.one", "SELECT (SELECT count() FROM system.parts)",
    "SELECT * FROM default.x", "SELECT * FROM event.run.x", "SELECT * FROM `event.run\n TableIdentifier run`",
    "SELECT in(1, system.one)", "SELECT globalIn(1, system.one)", "SELECT * FROM _temporary_and_external_tables.x",
    # too much, or not text
    "SELECT " + "(" * 5000 + "1" + ")" * 5000, "SELECT " + "1 + " * 6000 + "1", "SELECT '" + "x" * 30_000 + "'", "SELECT \0 1",
    "SELECT 1 AS `a\n Function count`", "SELECT {x:Identifier}", "SELECT * FROM {t:Identifier}", "SELECT ?", "SELECT 'unclosed",
    "SELECT 1 /* unclosed", "\ud800", "'; DROP TABLE run; --", "select * from", "\x1b[2J",
]  # fmt: skip

ALLOWED = [
    "SELECT count() FROM run",
    "select COUNT(*) from event.file_agg_event where path like '/srv/%'",
    "SELECT kind, sum(bytes) AS total, sumIf(event_count, result = 0) FROM file_agg_event GROUP BY ALL ORDER BY total DESC",
    "WITH x AS (SELECT run_id FROM run) SELECT * FROM x WHERE run_id IN (SELECT run_id FROM loss)",
    "SELECT run_id FROM run WHERE run_id IN ('a', 'b', 'it''s\\n(') OR name NOT IN ('z')",
    "SELECT l.*, t.name FROM link AS l LEFT JOIN tool_call AS t ON t.id = l.cause_id AND t.run_id = l.run_id",
    "SELECT row_number() OVER (PARTITION BY run_id ORDER BY at_ns) FROM net_event",
    "SELECT toStartOfMinute(time) AS minute, uniqExact(pid), quantile(0.9)(bytes) FROM file_agg_event GROUP BY minute",
    "SELECT arrayMap(x -> upper(x), argv), argv[1], JSONExtractString(arguments, 'path') FROM process, tool_call",
    "SELECT if(1, 2, 3), CASE WHEN 1 THEN 2 ELSE 3 END, CAST(1 AS String), 1::UInt8, now() - INTERVAL 1 DAY",
    "SELECT * EXCEPT (command) FROM run ORDER BY 1 -- a comment",
    "SELECT 1 UNION ALL SELECT 2 ORDER BY 1;",
    "SELECT DISTINCT gprocess_id, root_pid FROM proc_ops_event WHERE time > toDateTime('2026-01-01 00:00:00')",
    "SELECT a FROM run ARRAY JOIN command AS a WHERE NOT (a ILIKE '%x%') HAVING 1",
    "SELECT max(end_ns - at_ns) / 1e6 FROM net_event WHERE port BETWEEN 1 AND 443",
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with Database(DataDirectory(tmp_path_factory.mktemp("data"))) as opened:
        rows = pa.table({"run_id": ["r"] * 30, "stage": ["s"] * 30, "at_ns": pa.array(range(30), pa.int64())})
        opened.insert(BY_NAME["stage_count"], rows, "t")
        yield opened


@pytest.mark.parametrize("sql", HOSTILE, ids=[f"{n}:{sql[:40]!a}" for n, sql in enumerate(HOSTILE)])
def test_hostile_queries_are_refused_in_one_line(database: Database, sql: str) -> None:
    started = time.monotonic()
    with pytest.raises(IntactError) as caught:
        run_sql(database, sql)
    assert isinstance(caught.value, UsageError), caught.value  # refused before it ran, not by the engine
    assert str(caught.value).isprintable()
    assert time.monotonic() - started < 5
    assert not os.path.exists(OUT)


def test_the_list_is_long_enough() -> None:
    assert len(HOSTILE) >= 150
    assert len(set(HOSTILE)) == len(HOSTILE)


@pytest.mark.parametrize("sql", ALLOWED)
def test_useful_queries_run(database: Database, sql: str) -> None:
    run_sql(database, sql)


def test_rows_are_bounded_and_in_the_order_asked_for(database: Database) -> None:
    answer = run_sql(database, "SELECT at_ns FROM stage_count ORDER BY at_ns DESC", limit=10)
    assert answer.rows == [[n] for n in range(29, 19, -1)]
    assert answer.truncated
    assert not run_sql(database, "SELECT at_ns FROM stage_count", limit=30).truncated
    assert run_sql_arrow(database, "SELECT at_ns FROM stage_count", limit=10).num_rows == 10


def test_limits_hold(database: Database) -> None:
    with pytest.raises(IntactError, match=r"(?i)memory|limit|big"):
        run_sql(database, "SELECT groupArray(x) FROM (SELECT arrayJoin(range(100000000)) AS x, repeat('x', 1000))")
    with pytest.raises(IntactError):
        run_sql(database, "SELECT no_such_column FROM run")


def test_what_runs_cannot_write_even_if_it_were_let_through(database: Database) -> None:
    from_engine = database.connect()
    from_engine.query("SET readonly = 1", "TSV")
    with pytest.raises(RuntimeError):
        from_engine.query("INSERT INTO stage_count (run_id) VALUES ('x')", "TSV")
    from_engine.close()
    with pytest.raises(Refused):
        check_tree("SelectQuery\n Function file (children 1)")
    with pytest.raises(Refused):
        check_tree("SelectQuery\n    Identifier x")


def test_the_tables_are_told(database: Database) -> None:
    assert [row[0] for row in run_sql(database, " show  TABLES ;").rows] == sorted(table.name for table in TABLES)
    columns = dict(run_sql(database, "DESCRIBE TABLE event.link").rows)
    assert columns["effect_id"] == "UInt64"
    with pytest.raises(Refused, match="no table nothing"):
        run_sql(database, "DESC nothing")


def test_formats(database: Database) -> None:
    sql = "SELECT 18446744073709551615 AS process_id, 'a,\"b\n\x1b' AS text, [1, 2] AS list, NULL AS none, 1.5 AS x, 3 AS count"
    answer = run_sql(database, sql)
    [row] = json.loads(as_json(answer))
    assert row == {
        "process_id": "18446744073709551615", "text": 'a,"b\n\x1b', "list": [1, 2], "none": None, "x": 1.5, "count": 3,
    }  # fmt: skip
    assert "\x1b" not in as_json(answer)
    [names, values] = list(csv.reader(io.StringIO(as_csv(answer))))
    assert names[0] == "process_id"
    assert values[:3] == ["18446744073709551615", 'a,"b\n\x1b', "[1, 2]"]
    assert run_sql_arrow(database, sql).column("count").to_pylist() == [3]


def test_nothing_was_written(database: Database) -> None:
    assert not Path(OUT).exists()
    assert run_sql(database, "SELECT count() FROM stage_count").rows == [[30]]
