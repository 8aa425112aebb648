"""The tables: agent governance's names and columns first, then ours from which every effect is rebuilt exactly.

A fact's table has the fact's fields as columns, derived from its dataclass. `docs/tables.md` tells them to people.
"""

import types
from dataclasses import dataclass, fields
from typing import Any, Union, get_args, get_origin, get_type_hints

from intact.model.facts import Agent, AgentTurn, Finding, LlmCall, Loss, McpCall, Process, StageCount, ToolCall

DATABASE = "event"
# Blocks whose tokens a table remembers. Only the last group of each run is ever inserted again.
DEDUPLICATION_WINDOW = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    name: str
    type: str
    default: str = ""  # "DEFAULT …", "ALIAS …" or "EPHEMERAL"; with none the insert gives the column
    codec: str = ""

    @property
    def is_given(self) -> bool:
        """Whether an insert brings it."""
        return not self.default or self.default == "EPHEMERAL"

    @property
    def sql(self) -> str:
        codec = f" CODEC({self.codec})" if self.codec else ""
        default = f" {self.default}" if self.default else ""
        return f"`{self.name}` {self.type}{default}{codec}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    name: str
    columns: tuple[Column, ...]
    order_by: str
    partition_by: str = ""

    @property
    def create(self) -> str:
        partition = f"PARTITION BY {self.partition_by} " if self.partition_by else ""
        columns = ", ".join(column.sql for column in self.columns)
        return (
            f"CREATE TABLE IF NOT EXISTS {DATABASE}.{self.name} ({columns}) ENGINE = MergeTree "
            f"{partition}ORDER BY ({self.order_by}) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, "
            f"non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}, old_parts_lifetime = 30"
        )

    @property
    def given(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.is_given)


def _given(kind: str, *names: str, codec: str = "") -> tuple[Column, ...]:
    return tuple(Column(name=name, type=kind, codec=codec) for name in names)


def _alias(kind: str, expression: str, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name=name, type=kind, default=f"ALIAS {expression}") for name in names)


def _default(kind: str, expression: str, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name=name, type=kind, default=f"DEFAULT {expression}") for name in names)


_LABEL = "LowCardinality(String)"
_TIMES = "Delta(8), ZSTD(1)"


def _common(signal_source: int, event_type: str, pid: str) -> tuple[Column, ...]:
    """The columns every table of agent governance has. What nothing fills in here costs no byte: it is an alias."""
    return (
        *_default("DateTime", "toDateTime(intDiv(at_ns, 1000000000))", "time"),
        *_alias("UInt64", "id", "_id"),
        *_default("DateTime64(6)", "fromUnixTimestamp64Micro(intDiv(at_ns, 1000))", "start_time"),
        *_default("DateTime64(6)", "fromUnixTimestamp64Micro(intDiv(end_ns, 1000))", "end_time"),
        *_alias("UInt8", "0", "tagged"),
        *_alias("UInt8", str(signal_source), "signal_source"),
        *_default(_LABEL, event_type, "event_type"),
        *_alias("String", "''", "event_desc"),
        *_given(_LABEL, "process_kname"),
        *_given("UInt64", "gprocess_id"),
        *_alias("UInt16", "0", "region_id", "az_id", "host_id", "pod_ns_id", "pod_cluster_id", "agent_id", "subnet_id"),
        *_alias("UInt16", "0", "team_id"),
        *_alias("Int32", "0", "l3_epc_id"),
        *_alias("UInt32", "0", "pod_id", "pod_node_id", "pod_group_id", "l3_device_id", "service_id"),
        *_alias("UInt32", "0", "auto_instance_id", "auto_service_id"),
        *_alias("UInt8", "0", "l3_device_type", "auto_instance_type", "auto_service_type"),
        *_alias("UInt8", "1", "is_ipv4"),
        *_alias("IPv4", "toIPv4('0.0.0.0')", "ip4"),
        *_alias("IPv6", "toIPv6('::')", "ip6"),
        *_alias("String", f"toString({pid})", "app_instance"),
        *_alias("Array(LowCardinality(String))", "[]", "attribute_names"),
        *_alias("Array(String)", "[]", "attribute_values"),
        *_given("UInt32", "root_pid"),
        *_given("UInt32", "syscall_thread"),
        *_alias("UInt32", "0", "syscall_coroutine"),
    )


def _own() -> tuple[Column, ...]:
    """What ours have in common beside them."""
    return (
        *_given(_LABEL, "run_id"),
        *_given("UInt64", "id"),
        *_given(_LABEL, "kind"),
        *_alias("UInt64", "gprocess_id", "process_id"),
        *_given("UInt64", "root_process_id"),
        *_alias("UInt32", "syscall_thread", "tid"),
        *_given("Int64", "at_ns", "end_ns", codec=_TIMES),
        *_given("Int32", "result"),
    )


_FILE = (
    *_alias("UInt64", "intDiv(end_ns - at_ns, 1000)", "duration"),
    *_default(
        "String",
        "if(position(full_path, '/') = 0, full_path, arrayElement(splitByChar('/', full_path), -1))",
        "file_name",
    ),
    *_default("String", "substring(full_path, 1, length(full_path) - length(file_name))", "file_dir"),
    *_alias("UInt64", "0", "offset"),
    *_alias(_LABEL, "''", "mount_source", "mount_point"),
)
_FILE_OWN = (
    Column(name="full_path", type="String", default="EPHEMERAL"),
    *_alias("String", "concat(file_dir, file_name)", "path"),
    *_given("UInt8", "path_state"),
    *_given("Int32", "fd"),
    *_given("UInt64", "inode"),
    *_given("UInt32", "device", "pid", "uid", "gid"),
)
_FILE_CALL = (
    *_given("String", "old_path"),
    *_given("UInt32", "flags", "mode", "new_uid", "new_gid"),
)
_NOT_FILE_TYPE = _alias("UInt8", "0", "file_type")
_EFFECT_ORDER = {"order_by": "run_id, at_ns, id", "partition_by": "toYYYYMM(time)"}

_FILE_TABLES = (
    Table(
        name="file_agg_event",
        columns=(
            *_common(2, "replaceOne(kind, 'file_', '')", "pid"),
            *_given("UInt64", "bytes"),
            *_FILE,
            *_default("UInt8", "multiIf(fd_kind = 1, 1, fd_kind = 4, 3, 2)", "file_type"),
            *_alias("UInt32", "0", "access_permission"),
            *_given("UInt32", "event_count"),
            *_own(),
            *_FILE_OWN,
            *_given("UInt8", "fd_kind"),
        ),
        **_EFFECT_ORDER,
    ),
    Table(
        name="file_mgmt_event",
        columns=(
            *_common(2, "replaceOne(kind, 'file_', '')", "pid"),
            *_alias("UInt64", "0", "bytes"),
            *_FILE,
            *_NOT_FILE_TYPE,
            *_alias("UInt32", "target_mode", "access_permission"),
            *_alias("UInt32", "if(kind = 'file_chown', new_uid, 0)", "target_uid"),
            *_alias("UInt32", "if(kind = 'file_chown', new_gid, 0)", "target_gid"),
            *_alias("UInt32", "if(kind = 'file_chmod', mode, 0)", "target_mode"),
            *_own(),
            *_FILE_OWN,
            *_FILE_CALL,
        ),
        **_EFFECT_ORDER,
    ),
    Table(
        name="file_open_event",
        columns=(
            *_common(2, "replaceOne(kind, 'file_', '')", "pid"),
            *_FILE,
            *_NOT_FILE_TYPE,
            *_own(),
            *_FILE_OWN,
            *_FILE_CALL,
        ),
        **_EFFECT_ORDER,
    ),
)
_PROCESS_TABLES = (
    Table(
        name="proc_perm_event",
        columns=(
            *_common(3, "replaceOne(kind, 'credential_change', 'permop')", "pid"),
            *_given("UInt32", "pid", "old_uid", "old_gid", "new_uid", "new_gid"),
            *_own(),
        ),
        **_EFFECT_ORDER,
    ),
    Table(
        name="proc_ops_event",
        columns=(
            # a fork is told of the child by its parent
            *_common(4, "concat('proclifecycle', kind)", "actor_pid"),
            *_default("UInt32", "if(kind = 'fork', child_pid, actor_pid)", "pid"),
            *_default("UInt32", "if(kind = 'fork', actor_pid, ppid)", "parent_pid"),
            *_given("UInt32", "uid", "gid"),
            *_alias("String", "arrayStringConcat(argv, ' ')", "cmdline"),
            *_given("String", "exec_path"),
            *_own(),
            *_given("UInt32", "actor_pid", "ppid", "child_pid", "child_tid", "argv_clipped"),
            *_given("UInt64", "parent_id", "child_id", "cgroup_id"),
            *_given("Bool", "is_thread"),
            *_given("Int64", "start_ns"),
            *_alias(_LABEL, "process_kname", "comm"),
            *_alias("String", "exec_path", "exe"),
            *_given("String", "cwd"),
            *_given("Array(String)", "argv"),
            *_given("Int32", "exit_code", "exit_signal"),
        ),
        **_EFFECT_ORDER,
    ),
)
_NET_TABLE = Table(
    name="net_event",
    columns=(
        *_common(6, "kind", "pid"),
        *_own(),
        *_given("UInt32", "pid", "uid", "gid"),
        *_given("String", "address", "local_address"),
        *_given("UInt16", "port", "local_port", "family", "protocol", "sock_kind"),
        *_given("Int32", "fd"),
        *_given("UInt64", "socket", "sent_bytes", "received_bytes"),
    ),
    **_EFFECT_ORDER,
)
EFFECT_TABLES = (*_FILE_TABLES, *_PROCESS_TABLES, _NET_TABLE)

# In its own table: the content of a call is long, and most questions are not about it.
CONTENT = ("input_messages", "output_messages", "system_instructions", "tool_definitions")
FACT_TABLES: dict[type[Any], str] = {
    Process: "process",
    LlmCall: "llm_call",
    ToolCall: "tool_call",
    McpCall: "mcp_call",
    Agent: "agent",
    AgentTurn: "agent_turn",
    Finding: "finding",
    StageCount: "stage_count",
    Loss: "loss",
}


def column_type(name: str, hint: Any) -> str:
    """The SQL type of a field of a fact."""
    members = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType) and len(members) == 2 and type(None) in members:
        inner = next(member for member in members if member is not type(None))
        return f"Nullable({column_type(name, inner)})"
    if get_origin(hint) is tuple:
        return f"Array({column_type(name, members[0])})"
    if hint is int:
        return "UInt64" if name == "id" or name.endswith(("_id", "_ids")) else "Int64"
    return {bool: "Bool", float: "Float64", str: "String"}.get(hint, "String")  # the rest is JSON text


def fact_columns(fact: type[Any], *, without: tuple[str, ...] = ()) -> tuple[Column, ...]:
    """One column a field."""
    hints = get_type_hints(fact)
    return tuple(
        Column(name=field.name, type=column_type(field.name, hints[field.name]))
        for field in fields(fact)
        if field.name not in without
    )


_REVISED = (*_given(_LABEL, "run_id"), *_given("UInt64", "revision"))


def _fact_table(fact: type[Any], name: str) -> Table:
    names = {field.name for field in fields(fact)}
    without = CONTENT if fact is LlmCall else ()
    return Table(
        name=name,
        columns=(*_REVISED, *fact_columns(fact, without=without)),
        order_by="run_id, id, revision" if "id" in names else "run_id, stage, revision",
    )


_OTHER_TABLES = (
    Table(
        name="llm_content",
        columns=(*_REVISED, *_given("UInt64", "id"), *_given("String", *CONTENT, codec="ZSTD(3)")),
        order_by="run_id, id, revision",
    ),
    Table(
        name="link",
        columns=(
            *_given(_LABEL, "run_id"),
            *_given("UInt64", "id", "cause_id"),
            *_given(_LABEL, "cause_kind"),
            *_given("UInt64", "effect_id"),
            *_given("UInt8", "basis"),
            *_given("Float32", "confidence"),
            *_given("UInt32", "revision"),
            *_given("Int64", "at_ns"),
        ),
        order_by="run_id, effect_id, revision, id",
    ),
    Table(
        name="run",
        columns=(
            *_REVISED,
            *_given("String", "name"),
            *_given("Array(String)", "command"),
            *_given("Int64", "started_ns"),
            *_given("Nullable(Int64)", "ended_ns", "exit_code"),
            *_given("String", "host", "boot_id", "kernel", "intact_version"),
            *_given("UInt64", "root_process_id"),
            *_given("Nullable(String)", "problem"),
        ),
        order_by="run_id, revision",
    ),
    Table(
        name="manifest",
        columns=(
            *_given(_LABEL, "run_id"),
            *_given("UInt32", "first", "last"),
            *_given("Bool", "final"),
            *_given("Int64", "until_ns"),
            *_given("UInt64", "rows"),
        ),
        order_by="run_id, last",
    ),
)
TABLES: tuple[Table, ...] = (
    *EFFECT_TABLES,
    *(_fact_table(fact, name) for fact, name in FACT_TABLES.items()),
    *_OTHER_TABLES,
)
BY_NAME = {table.name: table for table in TABLES}
