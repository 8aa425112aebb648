"""Tools over the host: the same rows again from what was kept, other hosts only as measured, no more than may be seen."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from intact.assist.answers import ToolAnswer
from intact.assist.asking import Asker, Language
from intact.assist.servers.host import TOOLS
from intact.assist.servers.host_live import NOT_THERE
from intact.assist.tool import Parts, ToolRefused
from intact.collect.host_metrics import HostMeter, sample
from intact.collect.host_state import LocalHost
from intact.query.readers import Readers
from intact.query.row_limits import Role
from intact.store.database import Database
from intact.store.measurements import insert_measurements
from intact.store.runs import DataDirectory
from tests.assist.diagnosis.asking_host import BY_NAME, Readings, parts_of

ME = Asker(name="me")
LIVE = ("diagnose", "system_space", "core_metrics", "processes", "error_logs", "network", "services", "open_files")
T0 = 1_900_000_000_000_000_000
MINUTE = 60 * 10**9


def call(parts: Parts, tool_name: str, asker: Asker = ME, /, **arguments: Any) -> ToolAnswer:
    tool = BY_NAME[tool_name]
    return tool.run(parts, asker, tool.arguments.model_validate(arguments))


def column(answer: ToolAnswer, name: str) -> list[Any]:
    return [row[answer.columns.index(name)] for row in answer.rows]


@pytest.fixture(scope="module")
def parts() -> Parts:
    return parts_of(LocalHost(name="here"))


@pytest.mark.parametrize("name", LIVE)
def test_the_same_arguments_give_the_same_rows(parts: Parts, name: str) -> None:
    answer = call(parts, name)
    again = call(parts, name, **answer.arguments)
    assert again.rows_hash == answer.rows_hash
    assert again.arguments == answer.arguments
    assert answer.arguments["reading"]
    assert answer.query.startswith(f"host.{name} ")
    assert set(answer.untrusted) <= set(answer.columns) >= set(answer.units)


def test_readings_are_the_askers_own_and_the_tools_own(parts: Parts) -> None:
    answer = call(parts, "system_space")
    with pytest.raises(ToolRefused, match="no such reading"):
        call(parts, "system_space", Asker(name="other"), **answer.arguments)
    with pytest.raises(ToolRefused, match="no such reading"):
        call(parts, "network", reading=answer.arguments["reading"])
    broken = parts.readings.put("me", {"tool": "network", "packed": "nothing"})
    with pytest.raises(ToolRefused, match="no such reading"):
        call(parts, "network", reading=broken)


@pytest.mark.parametrize("name", [*LIVE, "metric_history", "baseline"])
def test_not_there_and_not_yours_are_the_same_words(parts: Parts, name: str) -> None:
    stranger = Asker(name="me", hosts=("elsewhere",))
    with pytest.raises(ToolRefused) as refused:
        call(parts, name, stranger)
    assert str(refused.value) == NOT_THERE
    if name in LIVE:
        with pytest.raises(ToolRefused) as missing:
            call(parts, name, hosts=["web-9"])
        assert str(missing.value) == NOT_THERE


@pytest.mark.parametrize("name", LIVE)
@pytest.mark.parametrize("hosts", [[], ["here"], ["localhost"]])
def test_this_machine_is_that_of_the_first_tenant(parts: Parts, name: str, hosts: list[str]) -> None:
    with pytest.raises(ToolRefused) as refused:
        call(parts, name, Asker(name="2/me", tenant_id=2), hosts=hosts)
    assert str(refused.value) == NOT_THERE


@pytest.mark.parametrize("role", [Role.MEMBER, Role.AUDITOR])
def test_who_may_not_see_all_sees_the_hosts_that_are_named(parts: Parts, role: Role) -> None:
    with pytest.raises(ToolRefused) as refused:
        call(parts, "processes", Asker(name="m", role=role))
    assert str(refused.value) == NOT_THERE
    assert call(parts, "system_space", Asker(name="m", role=role, hosts=("here",))).rows


def test_this_host_has_several_names(parts: Parts) -> None:
    for name in ("here", "localhost", "127.0.0.1", "本机"):
        assert call(parts, "system_space", hosts=[name]).arguments["hosts"] == ["here"]


def test_without_a_view_of_the_machine() -> None:
    with pytest.raises(ToolRefused, match="cannot be looked at"):
        call(parts_of(None), "system_space")


def test_space_of_a_path_is_that_of_its_file_system(parts: Parts) -> None:
    answer = call(parts, "system_space", path="/")
    room = os.statvfs("/")
    assert column(answer, "path") == ["/"]
    assert column(answer, "size_bytes") == [room.f_blocks * room.f_frsize]


def test_a_process_of_ours_is_found_and_its_secret_is_not(parts: Parts) -> None:
    code = "import time; time.sleep(30)"
    process = subprocess.Popen([sys.executable, "-c", code, "--password=hunter2", "marker-of-test"])
    try:
        answer = call(parts, "processes", name="marker-of-test")
    finally:
        process.kill()
        process.wait()
    assert process.pid in column(answer, "pid")
    assert not any("hunter2" in argv for argv in column(answer, "argv"))


def test_a_port_of_ours_is_listened_on_and_takes_connections(parts: Parts) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        answer = call(parts, "network", port=port)
        assert column(answer, "pid") == [os.getpid()]
        assert column(answer, "queued") == [0]
        assert column(call(parts, "connect_probe", port=port), "outcome") == ["open"]
    assert column(call(parts, "connect_probe", port=port), "outcome") == ["refused"]
    assert call(parts, "network", port=port).rows == ()


@pytest.mark.parametrize("address", ["8.8.8.8", "10.0.0.1", "169.254.169.254", "example.org", "127.0.0.1.example.org"])
def test_nobody_elses_port_is_tried(parts: Parts, address: str) -> None:
    with pytest.raises(ToolRefused):
        call(parts, "connect_probe", address=address, port=80)


def test_every_tool_has_its_texts_and_hosts() -> None:
    assert len({tool.name for tool in TOOLS}) == len(TOOLS)
    for tool in TOOLS:
        assert "hosts" in tool.arguments.model_fields
        assert all(field.description for field in tool.arguments.model_fields.values())
        for texts in (tool.about, tool.says):
            assert set(texts) == {Language.EN, Language.ZH}
            assert all(texts.values())
    assert BY_NAME["core_metrics"].says[Language.ZH] == "查询主机核心指标"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """An hour of measurements of two hosts; `here` changed its load after forty minutes."""
    with Database(DataDirectory(tmp_path_factory.mktemp("data"))) as database:
        measures = [each for each in HostMeter().measure() if each.name in ("load.1m", "memory.total")]
        for host in ("here", "web-2"):
            for minute in range(60):
                at = T0 - (60 - minute) * MINUTE
                facts = sample(measures, host, at)
                high = 9.0 if host == "here" and minute >= 40 else 1.0
                facts = [
                    type(each)(id=each.id, name=each.name, value=high if each.name == "load.1m" else 5.0, unit=each.unit,
                               at_ns=each.at_ns, labels=each.labels)
                    for each in facts
                ]  # fmt: skip
                insert_measurements(database, facts)
        readers = Readers(database)
        yield Parts(readers=readers, readings=Readings(), host=LocalHost(name="here"))
        readers.close()


def test_history_is_re_run_by_its_arguments(stored: Parts) -> None:
    answer = call(stored, "metric_history", metrics=["load.1m"], at_ns=T0)
    assert set(column(answer, "host")) == {"here"}
    assert max(column(answer, "most")) == 9.0
    assert sum(column(answer, "samples")) == 60
    assert call(stored, "metric_history", **answer.arguments).rows_hash == answer.rows_hash
    total = call(stored, "metric_history", metrics=["load.1m"], at_ns=T0, is_total=True)
    assert column(total, "samples") == [60]
    assert call(stored, "metric_history", **total.arguments).rows_hash == total.rows_hash


def test_other_hosts_are_known_by_what_was_measured(stored: Parts) -> None:
    answer = call(stored, "core_metrics", hosts=["web-2"], metrics=["load"], at_ns=T0)
    assert answer.rows == (("web-2", "load.1m", "", 1.0, "count"),)
    assert call(stored, "core_metrics", **answer.arguments).rows_hash == answer.rows_hash
    with pytest.raises(ToolRefused, match="no such host"):
        call(stored, "core_metrics", hosts=["web-3"], at_ns=T0)
    with pytest.raises(ToolRefused, match="no such host"):
        call(stored, "core_metrics", Asker(name="m", hosts=("here",)), hosts=["web-2"], at_ns=T0)


def test_a_host_of_another_tenant_is_not_there(stored: Parts) -> None:
    assert call(stored, "metric_history", Asker(name="t", tenant_id=2), hosts=["web-2"], at_ns=T0).rows == ()


def test_a_change_of_level_is_told_with_its_time(stored: Parts) -> None:
    answer = call(stored, "baseline", at_ns=T0)
    row = column(answer, "metric").index("load.1m")
    assert column(answer, "is_unusual")[row]
    assert column(answer, "changed_ns")[row] == T0 - 20 * MINUTE
    assert column(answer, "changed_ns")[1 - row] is None
    assert call(stored, "baseline", **answer.arguments).rows_hash == answer.rows_hash
