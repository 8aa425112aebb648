"""The tables are what the spec names, and have a column for every field of every fact and effect."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from intact.model.effects import FAMILIES, LINKS
from intact.store.database import Database
from intact.store.rows import _RENAMED
from intact.store.runs import DataDirectory
from intact.store.tables import BY_NAME, CONTENT, DATABASE, FACT_TABLES, TABLES

COMMON = set(
    re.findall(
        r"\w+",
        """
        time _id start_time end_time tagged signal_source event_type event_desc process_kname gprocess_id region_id
        az_id l3_epc_id host_id pod_id pod_node_id pod_ns_id pod_cluster_id pod_group_id l3_device_type l3_device_id
        service_id agent_id subnet_id is_ipv4 ip4 ip6 team_id auto_instance_id auto_instance_type auto_service_id
        auto_service_type app_instance attribute_names attribute_values root_pid
        """,
    )
)
FILE = set(
    re.findall(
        r"\w+",
        """
        bytes duration file_name file_type offset syscall_thread syscall_coroutine mount_source mount_point file_dir
        access_permission
        """,
    )
)
EXTRA = {
    "file_agg_event": [*FILE, "event_count"],
    "file_mgmt_event": [*FILE, "target_uid", "target_gid", "target_mode"],
    "file_event": FILE,
    "proc_block_event": re.findall(
        r"\w+",
        """
        rule_id target_type action mechanism guarantee errno pid parent_pid uid gid cmdline exec_path syscall_name syscall_id
        policy_epoch syscall_thread syscall_coroutine outcome
        """,
    ),
    "proc_perm_event": ["pid", "old_uid", "old_gid", "new_uid", "new_gid", "syscall_thread", "syscall_coroutine"],
    "proc_ops_event": [
        "pid",
        "parent_pid",
        "uid",
        "gid",
        "cmdline",
        "exec_path",
        "syscall_thread",
        "syscall_coroutine",
    ],
}
ORIGIN = {"tenant_id", "is_recording"}
TABLES_OF_FAMILY = {
    "process": ["proc_ops_event"],
    "file": ["file_open_event", "file_mgmt_event"],
    "io": ["file_agg_event", "file_event"],
    "net": ["net_event"],
    "credential": ["proc_perm_event"],
    "signal": ["proc_signal_event"],
    "block": ["proc_block_event"],
}


def names(table: str) -> list[str]:
    return [column.name for column in BY_NAME[table].columns]


@pytest.mark.parametrize("table", EXTRA)
def test_the_columns_of_agent_governance_are_there(table: str) -> None:
    assert {*COMMON, *EXTRA[table]} <= set(names(table))
    assert set(names(table)[:30]) <= COMMON  # governance columns come first


@pytest.mark.parametrize("family", FAMILIES)
def test_every_column_of_an_effect_is_kept(family: str) -> None:
    for table in TABLES_OF_FAMILY[family]:
        renamed = {_RENAMED[family].get(name, name) for name in FAMILIES[family].names}
        assert renamed <= {column.name for column in BY_NAME[table].columns if column.is_given}


def test_every_field_of_a_fact_is_a_column() -> None:
    for fact, table in FACT_TABLES.items():
        named = {field.name for field in fields(fact)} - (set(CONTENT) if table == "llm_call" else set())
        assert {"run_id", "revision", *ORIGIN, *named} == set(names(table))
    assert {*LINKS.names, *ORIGIN, "run_id"} == set(names("link"))


def test_the_engine_takes_every_table_and_every_default(tmp_path: Path) -> None:
    with Database(DataDirectory(tmp_path)) as database:
        for table in TABLES:
            readable = ", ".join(f"`{column.name}`" for column in table.columns if column.default != "EPHEMERAL")
            rows = database.rows(f"SELECT {readable} FROM {table.name}").num_rows
            assert (rows > 0) == (table.name == "data_source")
        found = (
            database.rows("SELECT name FROM system.tables WHERE database = {d:String}", d=DATABASE)
            .column(0)
            .to_pylist()
        )
        assert {table.name for table in TABLES} < set(found)


def test_every_table_says_whose_rows_it_has() -> None:
    for table in TABLES:
        assert set(names(table.name)) >= ORIGIN, table.name


def test_the_document_names_every_table() -> None:
    text = (Path(__file__).parents[2] / "docs" / "tables.md").read_text()
    assert [table.name for table in TABLES if f"`{table.name}`" not in text] == []
