"""The effects of a run in the words of `show --json`, from all the tables they are kept in."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from intact.model.effects import PathState
from intact.store.database import Database

Row = dict[str, Any]

# The sums an aggregate of reads or writes is made of, one a row.
_MEMBERS = """(
    SELECT * EXCEPT (id, at_ns, end_ns, bytes, event_count, fd), path, pid, tid, process_id,
        effect_id AS id, at AS at_ns, until AS end_ns, size AS bytes, calls AS event_count, descriptor AS fd
    FROM file_agg_event
    ARRAY JOIN effect_ids AS effect_id, effect_at_ns AS at, effect_end_ns AS until, effect_bytes AS size,
        effect_counts AS calls, effect_fds AS descriptor
    WHERE run_id = {run:String})"""
_SOURCES = {"file_agg_event": _MEMBERS}
_COMMON = "toString(id), kind, toString(gprocess_id), at_ns, end_ns, result, uid, gid"
_FILE_CALL = "path, old_path, path_state, flags, mode, new_uid, new_gid, pid, tid, fd, toString(inode), device"
_SIDES = ("old", "new")
_CREDENTIAL_IDS = tuple(
    f"{side}_{name}" for name in ("uid", "euid", "suid", "fsuid", "gid", "egid", "sgid", "fsgid") for side in _SIDES
)
# 64 bits: as text, as ids are
_CAPABILITIES = tuple(f"{side}_{name}" for name in ("caps", "permitted", "inheritable", "ambient") for side in _SIDES)
# table -> what its effects are made of, in the order its builder takes them
COLUMNS = {
    "proc_ops_event": "exec_path, argv, cwd, comm, argv_clipped, actor_pid, tid, ppid, toString(parent_id), "
    "toString(child_id), child_pid, child_tid, is_thread, exit_code, exit_signal",
    "file_open_event": _FILE_CALL,
    "file_mgmt_event": _FILE_CALL,
    "file_agg_event": "path, path_state, bytes, event_count, pid, tid, fd, fd_kind, toString(inode), device",
    "proc_perm_event": f"{', '.join(_CREDENTIAL_IDS)}, {', '.join(f'toString({name})' for name in _CAPABILITIES)}, "
    "old_groups, new_groups, groups_clipped, call, pid, tid",
    "proc_signal_event": "pid, tid, target_pid, toString(target_id), signal",
    "proc_block_event": "rule_id, target_type, action, mechanism, guarantee, outcome, errno, exec_path, argv, path, address, "
    "port, syscall_name, pid, tid, ppid",
    "net_event": "address, port, local_address, local_port, family, protocol, sock_kind, pid, tid, fd, toString(socket), "
    "sent_bytes, received_bytes",
}
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}
_FAMILIES = {1: "unix", 2: "inet", 10: "inet6", 16: "netlink"}
_UNIX = 1
_FD_KINDS = ("other", "regular", "directory", "pipe", "socket", "character", "block", "anonymous")
_HAVE_MODE = {"file_open", "file_create", "file_chmod", "dir_create"}
_ABSENT: Row = {
    name: None
    for name in (
        *(
            "id",
            "kind",
            "process_id",
            "at_ns",
            "end_ns",
            "result",
            "path",
            "old_path",
            "flags",
            "mode",
            "bytes",
            "count",
        ),
        *("address", "port", "protocol", "host_name", "argv", "uid", "gid", "new_uid", "new_gid"),
    )
}


def effects_of(database: Database, run_id: str, where: dict[str, str] | None = None, **parameters: Any) -> list[Row]:
    """The effects of a run ordered by time, then id.

    Args:
        database: the store.
        run_id: which run.
        where: a condition by table, over its columns; tables without one are left out. None: all effects.
        parameters: of the conditions.
    """
    rows: list[Row] = []
    for table in COLUMNS if where is None else where:
        condition = "" if where is None else f" AND ({where[table]})"
        sql = f"SELECT {_COMMON}, {COLUMNS[table]} FROM {_SOURCES.get(table, table)} WHERE run_id = {{run:String}}{condition}"
        columns = [column.to_pylist() for column in database.rows(sql, run=run_id, **parameters).columns]
        rows.extend(_build(zip(*columns, strict=True), BUILDERS[table]))
    rows.sort(key=lambda row: (row["at_ns"], row["id"]))
    return rows


def effects_page(database: Database, run_id: str, condition: str, limit: int, **parameters: Any) -> list[Row]:
    """The first `limit` effects of a run that meet a condition over `at_ns` and `id`, in the order of `effects_of`."""
    given = f"WHERE run_id = {{run:String}} AND ({condition})"
    times = " UNION ALL ".join(
        f"(SELECT at_ns FROM {_SOURCES.get(table, table)} {given} ORDER BY at_ns LIMIT {limit:d})" for table in COLUMNS
    )
    last = f"SELECT max(at_ns) AS last FROM (SELECT at_ns FROM ({times}) ORDER BY at_ns LIMIT {limit:d})"
    until_ns = database.rows(last, run=run_id, **parameters).column(0)[0].as_py()
    where = dict.fromkeys(COLUMNS, f"({condition}) AND at_ns <= {{until:Int64}}")
    return effects_of(database, run_id, where, until=until_ns, **parameters)[:limit]


def _build(values: Iterable[tuple[Any, ...]], build: Callable[..., Row]) -> Iterator[Row]:
    for identity, kind, process, at_ns, end_ns, result, uid, gid, *rest in values:
        row = dict(_ABSENT)
        row["id"] = identity
        row["kind"] = kind
        row["process_id"] = process
        row["at_ns"] = at_ns
        row["end_ns"] = end_ns
        row["result"] = result
        row["uid"] = uid
        row["gid"] = gid
        row["detail"] = build(row, *rest)
        yield row


def _process(row: Row, *values: Any) -> Row:
    exe, argv, cwd, comm, clipped, pid, tid, ppid, parent, child, child_pid, child_tid, is_thread, code, signal = values
    detail: Row = {"pid": pid, "tid": tid, "comm": comm or None}
    if row["kind"] == "fork":
        detail |= {"child_id": child, "child_pid": child_pid, "child_tid": child_tid, "is_thread": bool(is_thread)}
    else:
        detail |= {"parent_id": parent if parent != "0" else None, "ppid": ppid or None}
    if row["kind"] == "exit":
        detail |= {"exit_code": code if code >= 0 else None, "exit_signal": signal or None}
    if row["kind"] == "exec":
        row["path"] = exe or None
        row["argv"] = argv
        detail |= {"cwd": cwd or None, "argv_clipped_bytes": clipped}
    return detail


def _file(row: Row, *values: Any) -> Row:
    path, old_path, state, flags, mode, new_uid, new_gid, pid, tid, fd, inode, device = values
    row["path"] = path or None
    row["old_path"] = old_path or None
    row["flags"] = flags
    if row["kind"] in _HAVE_MODE:
        row["mode"] = mode
    if row["kind"] == "file_chown":
        row["new_uid"] = new_uid
        row["new_gid"] = new_gid
    return {
        "pid": pid,
        "tid": tid,
        "fd": fd if fd >= 0 else None,
        "inode": inode,
        "device": device,
        **_path_state(state),
    }


def _io(row: Row, *values: Any) -> Row:
    path, state, size, count, pid, tid, fd, fd_kind, inode, device = values
    row["path"] = path or None
    row["bytes"] = size
    row["count"] = count
    kind = _FD_KINDS[fd_kind] if fd_kind < len(_FD_KINDS) else "other"
    detail = {"pid": pid, "tid": tid, "fd": fd if fd >= 0 else None, "fd_kind": kind, "inode": inode, "device": device}
    return detail | _path_state(state)


def _net(row: Row, *values: Any) -> Row:
    address, port, local, local_port, family, protocol, sock_kind, pid, tid, fd, socket, sent, received = values
    row["address"] = address or None
    row["port"] = None if family == _UNIX else port
    row["protocol"] = "unix" if family == _UNIX else _PROTOCOLS.get(protocol, str(protocol))
    if row["kind"] in ("send", "close"):
        row["bytes"] = sent + received
    return {
        "pid": pid,
        "tid": tid,
        "fd": fd if fd >= 0 else None,
        "family": _FAMILIES.get(family, str(family)),
        "sock_kind": sock_kind,
        "socket": socket,
        "local_address": local or None,
        "local_port": local_port or None,
        "sent_bytes": sent,
        "received_bytes": received,
    }


def _credential(row: Row, *values: Any) -> Row:
    *sets, old_groups, new_groups, clipped, call, pid, tid = values
    detail = dict(zip((*_CREDENTIAL_IDS, *_CAPABILITIES), sets, strict=True))
    row["new_uid"] = detail["new_uid"]
    row["new_gid"] = detail["new_gid"]
    groups = {"old_groups": old_groups, "new_groups": new_groups, "groups_clipped": clipped}
    return {"pid": pid, "tid": tid, "call": call, **detail, **groups}


def _signal(_: Row, *values: Any) -> Row:
    pid, tid, target_pid, target, signal = values
    target_id = target if target != "0" else None
    return {"pid": pid, "tid": tid, "signal": signal, "target_pid": target_pid, "target_id": target_id}


def _block(row: Row, *values: Any) -> Row:
    rule, target_type, action, mechanism, guarantee, outcome, errno, exe, argv, path, address, port, call, *who = values
    row["path"] = path or exe or None
    row["argv"] = argv or None
    row["address"] = address or None
    row["port"] = port or None
    pid, tid, ppid = who
    detail = {"pid": pid, "tid": tid, "ppid": ppid or None, "exe": exe or None, "syscall_name": call or None}
    detail |= {"rule_id": rule, "target_type": target_type, "action": action, "mechanism": mechanism}
    return detail | {"guarantee": guarantee, "outcome": outcome, "errno": errno}


def _path_state(state: int) -> Row:
    """`path_unresolved` always, the rest where it is so."""
    detail: Row = {"path_unresolved": bool(state & PathState.UNRESOLVED)}
    if state & ~PathState.UNRESOLVED:
        for bit in PathState:
            if bit is not PathState.UNRESOLVED and state & bit:
                detail[f"path_{bit.name.lower()}"] = True
    return detail


BUILDERS: dict[str, Callable[..., Row]] = {
    "proc_ops_event": _process,
    "file_open_event": _file,
    "file_mgmt_event": _file,
    "file_agg_event": _io,
    "net_event": _net,
    "proc_perm_event": _credential,
    "proc_signal_event": _signal,
    "proc_block_event": _block,
}
