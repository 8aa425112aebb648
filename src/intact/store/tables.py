"""The tables: agent governance's names and columns first, then ours from which every effect is rebuilt exactly.

A fact's table has the fact's fields as columns, derived from its dataclass. `docs/tables.md` tells them to people.
"""

import types
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

from intact.model.facts import (
    Agent,
    AgentTurn,
    Answer,
    Finding,
    HostMetric,
    LlmCall,
    Loss,
    McpCall,
    Process,
    Span,
    StageCount,
    ToolCall,
)

DATABASE = "event"
# Blocks whose tokens a table remembers. Only the last group of each run is ever inserted again.
DEDUPLICATION_WINDOW = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    name: str
    type: str
    default: str = ""  # "DEFAULT …", "ALIAS …" or "EPHEMERAL"; with none the insert gives the column
    codec: str = ""
    has_fallback: bool = False  # an insert brings it; the default is for rows of before it was there

    @property
    def is_given(self) -> bool:
        """Whether an insert brings it."""
        return not self.default or self.default == "EPHEMERAL" or self.has_fallback

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
    time: str = ""  # the DateTime of a row, as SQL; without it rows are kept for ever
    hours: int = 0  # kept so long unless told otherwise; 0: for ever
    indexes: tuple[str, ...] = ()

    @property
    def create(self) -> str:
        partition = f"PARTITION BY {self.partition_by} " if self.partition_by else ""
        parts = ", ".join((*(column.sql for column in self.columns), *(f"INDEX {index}" for index in self.indexes)))
        ttl = f"TTL {self.ttl(self.hours)} " if self.hours else ""
        return (
            f"CREATE TABLE IF NOT EXISTS {DATABASE}.{self.name} ({parts}) ENGINE = MergeTree "
            f"{partition}ORDER BY ({self.order_by}) {ttl}SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, "
            f"non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}, old_parts_lifetime = 30"
        )

    def ttl(self, hours: int) -> str:
        """When the engine lets go of a row. A recording was made on purpose: it stays until its run is removed."""
        return f"{self.time} + toIntervalHour({hours}) DELETE WHERE NOT is_recording"

    @property
    def given(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.is_given)


def _given(kind: str, *names: str, codec: str = "") -> tuple[Column, ...]:
    return tuple(Column(name=name, type=kind, codec=codec) for name in names)


def _alias(kind: str, expression: str, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name=name, type=kind, default=f"ALIAS {expression}") for name in names)


def _default(kind: str, expression: str, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name=name, type=kind, default=f"DEFAULT {expression}") for name in names)


def _since(kind: str, expression: str, *names: str) -> tuple[Column, ...]:
    """Given by inserts, computed for rows of before the column was there."""
    return tuple(Column(name=name, type=kind, default=f"DEFAULT {expression}", has_fallback=True) for name in names)


_LABEL = "LowCardinality(String)"
_TIMES = "Delta(8), ZSTD(1)"
# of one tenant, as DeepFlow numbers organisations; whether `record` or `replay` brought it, or the sensor
_ORIGIN = (*_since("UInt32", "1", "tenant_id"), *_since("Bool", "true", "is_recording"))


class SignalSource(IntEnum):
    """Where a row comes from. DeepFlow's own codes 2 and 3 have two meanings each; here every code has one."""

    RESOURCE = 1
    IO = 2
    KUBERNETES = 3
    LIFECYCLE = 4
    BLOCK = 5
    FILE_OP = 6
    PERMISSION = 7
    NETWORK = 8
    SIGNAL = 9


def _common(signal_source: SignalSource, event_type: str, pid: str, is_ipv4: str = "1") -> tuple[Column, ...]:
    """The columns every table of agent governance has. What nothing fills in here costs no byte: it is an alias."""
    return (
        *_default("DateTime", "toDateTime(intDiv(at_ns, 1000000000))", "time"),
        *_alias("UInt64", "id", "_id"),
        *_default("DateTime64(6)", "fromUnixTimestamp64Micro(intDiv(at_ns, 1000))", "start_time"),
        *_default("DateTime64(6)", "fromUnixTimestamp64Micro(intDiv(end_ns, 1000))", "end_time"),
        *_alias("UInt8", "0", "tagged"),
        *_alias("UInt8", str(int(signal_source)), "signal_source"),
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
        *_alias("UInt8", is_ipv4, "is_ipv4"),
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
        *_ORIGIN,
        *_since(_LABEL, "''", "host"),
    )


_DURATION = _alias("UInt64", "intDiv(end_ns - at_ns, 1000)", "duration")
_FILE = (
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
DEFAULT_HOURS = 7 * 24
_INDEXES = ("by_time time TYPE minmax", "by_process gprocess_id TYPE bloom_filter GRANULARITY 1")
_EFFECT_ORDER: dict[str, Any] = {
    "order_by": "run_id, at_ns, id",
    "partition_by": "toYYYYMM(time)",
    "time": "time",
    "hours": DEFAULT_HOURS,
    "indexes": _INDEXES,
}
_FILE_KIND = "replaceOne(kind, 'file_', '')"

_READ_OR_WRITTEN = (
    *_default("UInt8", "multiIf(fd_kind = 1, 1, fd_kind = 4, 3, 2)", "file_type"),
    *_alias("UInt32", "0", "access_permission"),
    *_given("UInt32", "event_count"),
    *_own(),
    *_FILE_OWN,
    *_given("UInt8", "fd_kind"),
)
# The sums an aggregate is made of, from which each effect is rebuilt: nothing is stored twice.
MEMBERS = {
    "effect_ids": ("UInt64", "id"),
    "effect_at_ns": ("Int64", "at_ns"),
    "effect_end_ns": ("Int64", "end_ns"),
    "effect_bytes": ("UInt64", "bytes"),
    "effect_counts": ("UInt32", "event_count"),
    "effect_fds": ("Int32", "fd"),
}
_FILE_TABLES = (
    Table(
        name="file_agg_event",
        columns=(
            *_common(SignalSource.IO, _FILE_KIND, "pid"),
            *_given("UInt64", "bytes"),
            *_alias(
                "UInt64",
                "intDiv(arraySum(effect_end_ns) - arraySum(effect_at_ns), 1000)",
                "duration",
            ),
            *_FILE,
            *_READ_OR_WRITTEN,
            *(c for name, (kind, of) in MEMBERS.items() for c in _since(f"Array({kind})", f"[{of}]", name)),
        ),
        **_EFFECT_ORDER,
    ),
    Table(
        name="file_event",
        columns=(
            *_common(SignalSource.IO, _FILE_KIND, "pid"),
            *_given("UInt64", "bytes"),
            *_DURATION,
            *_FILE,
            *_READ_OR_WRITTEN,
        ),
        **_EFFECT_ORDER,
    ),
    Table(
        name="file_mgmt_event",
        columns=(
            *_common(SignalSource.FILE_OP, _FILE_KIND, "pid"),
            *_alias("UInt64", "0", "bytes"),
            *_DURATION,
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
            *_common(SignalSource.FILE_OP, _FILE_KIND, "pid"),
            *_DURATION,
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
            *_common(SignalSource.PERMISSION, "concat('permop', call)", "pid"),
            *_given("UInt32", "pid", "old_uid", "old_gid", "new_uid", "new_gid"),
            *_own(),
            *_since("UInt32", "0", "uid", "gid", "old_euid", "new_euid", "old_egid", "new_egid"),
            *_since("UInt64", "0", "old_caps", "new_caps"),
            *_since(_LABEL, "''", "call"),
            *_since("UInt32", "0", "old_suid", "new_suid", "old_fsuid", "new_fsuid"),
            *_since("UInt32", "0", "old_sgid", "new_sgid", "old_fsgid", "new_fsgid"),
            *_since("UInt64", "0", "old_permitted", "new_permitted", "old_inheritable", "new_inheritable"),
            *_since("UInt64", "0", "old_ambient", "new_ambient"),
            *_since("Array(UInt32)", "[]", "old_groups", "new_groups"),
            *_since("UInt32", "0", "groups_clipped"),
        ),
        **_EFFECT_ORDER,
    ),
    Table(
        name="proc_signal_event",
        columns=(
            *_common(SignalSource.SIGNAL, "kind", "pid"),
            *_own(),
            *_given("UInt32", "pid", "uid", "gid", "target_pid"),
            *_given("UInt64", "target_id"),
            *_given("Int32", "signal"),
        ),
        **_EFFECT_ORDER,
    ),
    Table(
        name="proc_block_event",
        columns=(
            *_common(SignalSource.BLOCK, "target_type", "pid"),
            *_given("String", "rule_id"),
            *_given(_LABEL, "target_type", "action", "mechanism", "guarantee"),
            *_given("Int32", "errno"),
            *_given("UInt32", "pid"),
            *_alias("UInt32", "ppid", "parent_pid"),
            *_given("UInt32", "uid", "gid"),
            *_alias("String", "arrayStringConcat(argv, ' ')", "cmdline"),
            *_given("String", "exec_path"),
            *_given(_LABEL, "syscall_name"),
            *_given("UInt32", "syscall_id"),
            *_given("UInt64", "policy_epoch"),
            *_own(),
            *_given(_LABEL, "outcome"),
            *_given("UInt32", "ppid"),
            *_given("Array(String)", "argv"),
            *_given("String", "path", "address"),
            *_given("UInt16", "port"),
        ),
        **_EFFECT_ORDER,
    ),
    Table(
        name="proc_ops_event",
        columns=(
            # a fork is told of the child by its parent
            *_common(SignalSource.LIFECYCLE, "concat('proclifecycle', kind)", "actor_pid"),
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
_SIDES = {"0": "client", "1": "server"}


def _two_sided() -> tuple[Column, ...]:
    """The tags of both ends: `_0` is the client's, `_1` the server's. Of an end that is not ours only the address is known."""
    found: list[Column] = []
    for side, role in _SIDES.items():
        mine = f"role = '{role}'"
        found += _alias("UInt64", f"if({mine}, gprocess_id, 0)", f"gprocess_id_{side}", f"process_id_{side}")
        found += _alias("UInt32", f"if({mine}, pid, 0)", f"pid_{side}")
        found += _alias("UInt32", f"if({mine}, root_pid, 0)", f"root_pid_{side}")
        found += _alias("UInt64", f"if({mine}, root_process_id, 0)", f"root_process_id_{side}")
        found += _alias(_LABEL, f"if({mine}, process_kname, '')", f"process_kname_{side}")
        # bind and listen tell the own end in `address`
        end = f"if({mine} AND kind NOT IN ('bind', 'listen'), local_address, address)"
        found += _alias("String", f"if(role = '', '', {end})", f"address_{side}")
        port = f"if({mine} AND kind NOT IN ('bind', 'listen'), local_port, port)"
        found += _alias("UInt16", f"if(role = '', 0, {port})", f"port_{side}")
        found += _alias("IPv4", f"toIPv4OrDefault(address_{side})", f"ip4_{side}")
        found += _alias("IPv6", f"toIPv6OrDefault(address_{side})", f"ip6_{side}")
        for kind, names in _PLACES.items():
            found += _alias(kind, "0", *(f"{name}_{side}" for name in names))
    return tuple(found)


_PLACES = {
    "UInt16": ("region_id", "az_id", "host_id", "pod_ns_id", "pod_cluster_id", "subnet_id", "team_id"),
    "Int32": ("l3_epc_id",),
    "UInt32": (
        "pod_id",
        "pod_node_id",
        "pod_group_id",
        "l3_device_id",
        "service_id",
        "auto_instance_id",
        "auto_service_id",
    ),
    "UInt8": ("l3_device_type", "auto_instance_type", "auto_service_type"),
}
_NET_TABLE = Table(
    name="net_event",
    columns=(
        *_common(SignalSource.NETWORK, "kind", "pid", "toUInt8(family != 10)"),
        *_own(),
        *_given("UInt32", "pid", "uid", "gid"),
        *_given("String", "address", "local_address"),
        *_given("UInt16", "port", "local_port", "family", "protocol", "sock_kind"),
        *_given("Int32", "fd"),
        *_given("UInt64", "socket", "sent_bytes", "received_bytes"),
        *_since(
            _LABEL,
            "multiIf(kind IN ('connect', 'send'), 'client', kind IN ('accept', 'bind', 'listen'), 'server', '')",
            "role",
        ),
        *_two_sided(),
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
    HostMetric: "host_metric",
    Answer: "answer",
    Span: "span",
}
_FACT_HOURS: dict[type[Any], int] = {HostMetric: DEFAULT_HOURS, Answer: 30 * 24, Span: DEFAULT_HOURS}
# when a fact is of, for its retention
_FACT_TIME = ("at_ns", "started_ns", "issued_ns", "start_ns", "first_seen_ns")


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


def _epoch(name: str) -> str:
    return f"toDateTime(intDiv({name}, 1000000000))"


def _fact_table(fact: type[Any], name: str) -> Table:
    names = {field.name for field in fields(fact)}
    without = CONTENT if fact is LlmCall else ()
    return Table(
        name=name,
        columns=(*_REVISED, *fact_columns(fact, without=without), *_ORIGIN),
        order_by="run_id, id, revision" if "id" in names else "run_id, stage, revision",
        time=_epoch(next(column for column in _FACT_TIME if column in names)),
        hours=_FACT_HOURS.get(fact, 0),
    )


_OTHER_TABLES = (
    Table(
        name="llm_content",
        columns=(*_REVISED, *_given("UInt64", "id"), *_given("String", *CONTENT, codec="ZSTD(3)"), *_ORIGIN),
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
            *_ORIGIN,
        ),
        order_by="run_id, effect_id, revision, id",
        time=_epoch("at_ns"),
    ),
    Table(
        # DeepFlow's dictionary of this name: what a process is, by its id
        name="gprocess_map",
        columns=(
            *_REVISED,
            *_given("UInt64", "id"),
            *_given("String", "name"),
            *_given("UInt32", "pid"),
            *_given("UInt8", "biz_type"),
            *_given("UInt64", "agent_process_id"),
            *_ORIGIN,
        ),
        order_by="id, run_id, revision",
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
            *_ORIGIN,
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
            *_ORIGIN,
        ),
        order_by="run_id, last",
    ),
    Table(
        name="data_source",
        columns=(
            *_given("UInt32", "id"),
            *_given("UInt64", "revision"),
            *_given(_LABEL, "table_name"),
            *_given("String", "name_en", "name_zh"),
            *_given("UInt32", "interval_s", "retention_hours"),
            *_given("Bool", "is_default"),
            *_given("UInt8", "state"),  # 1 normal, 0 exception
            *_ORIGIN,
        ),
        order_by="id, revision",
    ),
)
TABLES: tuple[Table, ...] = (
    *EFFECT_TABLES,
    *(_fact_table(fact, name) for fact, name in FACT_TABLES.items()),
    *_OTHER_TABLES,
)
BY_NAME = {table.name: table for table in TABLES}
