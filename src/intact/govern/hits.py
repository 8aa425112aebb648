"""Hits: one fact each time a rule bit, whichever mechanism told of it."""

import ctypes
import ipaddress
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from intact.govern.layouts import EXEC_PATH_ROOM, RULE_SCOPE, Action, HitKind, Outcome
from intact.govern.layouts import Hit as Record
from intact.govern.plan import CGROUP, EXEC_KILL, FANOTIFY, Plan
from intact.model.effects import BLOCK, Kind
from intact.model.identity import host_hash, mix, process_id, text_id
from intact.model.slice import Host

EPERM = 1
_GUARANTEES = {
    "prevented": "prevented",
    "observed": "audit_only",
    "stopped_after": "best_effort",
    "missed": "best_effort",
}
_TARGETS = {
    HitKind.CONNECT: "connect",
    HitKind.SENDMSG: "connect",
    HitKind.BIND: "bind",
    HitKind.SOCKET: "socket",
    HitKind.EXEC: "exec",
    HitKind.LEAVE: "cgroup",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One row of `proc_block_event`. `at_ns` is Unix epoch."""

    rule_id: str
    policy: str
    target: str  # exec, open, connect, bind, socket, delete, rename, credential, cgroup
    action: str
    mechanism: str
    outcome: str  # prevented, stopped_after, observed, missed
    process_id: int
    pid: int
    tid: int
    at_ns: int
    ppid: int = 0  # of the process that made it; told by the tree of processes, 0 if that does not know
    result: int = 0  # what the program was told: a negative errno, 0 if nothing was refused
    signal: int = 0  # that it was sent
    uid: int = 0
    gid: int = 0
    comm: str = ""
    path: str = ""
    argv: tuple[str, ...] = field(default=())
    address: str = ""
    port: int = 0
    protocol: int = 0


def hit_of_record(raw: bytes, plan: Plan, host: Host) -> Hit:
    """A record of the kernel's rings as a hit."""
    record = Record.from_buffer_copy(raw)
    kind, action = HitKind(record.kind), Action(record.action)
    data = raw[ctypes.sizeof(Record) :] if kind is HitKind.EXEC else b""
    rule_id, policy = "", ""
    if record.rule == RULE_SCOPE:
        rule_id, policy = "leaves-cgroup", "intact"
    elif record.rule < len(plan.rules):
        rule_id = plan.rules[record.rule].id
        policy = next((part.policy for part in plan.parts if part.index == record.rule), "")
    killed = action is Action.KILL or (kind is HitKind.EXEC and action is Action.DENY)
    argv = data[EXEC_PATH_ROOM : EXEC_PATH_ROOM + record.argv_length].rstrip(b"\0")
    return Hit(
        rule_id=rule_id,
        policy=policy,
        target=_TARGETS[kind],
        action=action.name.lower(),
        mechanism=EXEC_KILL if kind in (HitKind.EXEC, HitKind.LEAVE) else CGROUP,
        outcome=Outcome(record.outcome).name.lower(),
        process_id=process_id(host_hash(host.boot_id), record.tgid, record.start_ns),
        pid=record.tgid,
        tid=record.tid,
        at_ns=record.ktime_ns + host.boot_offset_ns,
        result=record.result,
        signal=9 if killed and record.outcome == Outcome.PREVENTED else 0,
        uid=record.uid,
        gid=record.gid,
        comm=_text(record.comm),
        path=_text(data[: record.path_length]),
        argv=tuple(_text(part) for part in argv.split(b"\0")) if argv else (),
        address=_address(bytes(record.address)) if kind in (HitKind.CONNECT, HitKind.SENDMSG, HitKind.BIND) else "",
        port=record.port,
        protocol=record.protocol,
    )


def hit_of_gate(told: dict[str, Any], plan: Plan, host: Host) -> Hit:
    """What the gate told as a hit."""
    rule = plan.rules[told["rule"]]
    kill = rule.action == "kill"
    return Hit(
        rule_id=rule.id,
        policy=next(part.policy for part in plan.parts if part.index == told["rule"]),
        target=told["kind"],
        action=rule.action,
        mechanism=FANOTIFY,
        outcome="prevented",
        process_id=process_id(host_hash(host.boot_id), told["tgid"], told["start_ns"]),
        pid=told["tgid"],
        tid=told["tid"],
        at_ns=told["ktime_ns"] + host.boot_offset_ns,
        result=-EPERM,
        signal=9 if kill else 0,
        path=_text(os.fsencode(told["path"])),
    )


def rows(hits: Sequence[Hit], *, epoch: int, clean: Callable[[str], str] = str) -> pa.RecordBatch:
    """Hits as effects of kind `blocked`, in order of time; `clean` removes secrets from paths and arguments."""
    columns: dict[str, list[Any]] = {field.name: [] for field in BLOCK}
    for hit in sorted(hits, key=lambda hit: (hit.at_ns, hit.tid)):
        what = text_id(hit.rule_id, hit.target, hit.path, hit.address, hit.port)
        row: dict[str, Any] = {
            "id": mix(hit.process_id, hit.at_ns, hit.tid, what),
            "kind": int(Kind.BLOCKED),
            "end_ns": hit.at_ns,
            "target_type": hit.target,
            "guarantee": _GUARANTEES[hit.outcome],
            "errno": -hit.result if hit.outcome == "prevented" else 0,
            "exe": clean(hit.path) if hit.target == "exec" else "",
            "path": clean(hit.path),
            "argv": [clean(argument) for argument in hit.argv],
            "syscall_name": "",
            "syscall_id": 0,
            "policy_epoch": epoch,
        }
        for name, values in columns.items():
            values.append(row[name] if name in row else getattr(hit, name))
    return pa.RecordBatch.from_arrays([pa.array(columns[f.name], f.type) for f in BLOCK], schema=BLOCK)


def _address(raw: bytes) -> str:
    address = ipaddress.IPv6Address(raw)
    return str(address.ipv4_mapped or address)


def _text(raw: bytes) -> str:
    """As `decode` tells it elsewhere: bytes that are no UTF-8 become \\xNN."""
    return raw.decode("utf-8", "backslashreplace")
