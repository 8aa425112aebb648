"""Parts of rules as the entries that the kernel side reads."""

import ipaddress
from collections.abc import Iterable, Sequence

from intact.govern.layouts import (
    CONDITIONS,
    EXEC_ENTRIES,
    NET_ENTRIES,
    Action,
    ArgumentMatch,
    Condition,
    ExecEntry,
    Hook,
    NetEntry,
    PathMatch,
)
from intact.govern.plan import Part
from intact.govern.policy import Argument, Line
from intact.model.errors import UsageError

PROTOCOLS = {"any": 0, "tcp": 6, "udp": 17}
ANYWHERE = ("0.0.0.0/0", "::/0")
ANY_PORT = ("0-65535",)
_ACTIONS = {"audit": Action.AUDIT, "deny": Action.DENY, "kill": Action.KILL}


def net_entries(parts: Sequence[Part]) -> list[NetEntry]:
    """Addresses and ports: the exceptions of a rule stand before what it matches.

    Raises:
        UsageError: there are more than the kernel side has room for.
    """
    found: list[NetEntry] = []
    for part in parts:
        match = part.rule.connect or part.rule.bind
        assert match is not None
        hook = Hook.CONNECT if part.rule.connect is not None else Hook.BIND
        for entry in part.rule.exceptions:
            for address in entry.address or ANYWHERE:
                found += [_net(part, address, port, Action.EXCEPT, hook) for port in entry.port or ANY_PORT]
        for address in match.address:
            found += [_net(part, address, port, _ACTIONS[part.rule.action], hook) for port in match.port]
    if len(found) > NET_ENTRIES:
        raise UsageError(
            f"{len(found)} pairs of addresses and ports; at most {NET_ENTRIES}: use wider networks or port ranges"
        )
    return found


def _net(part: Part, address: str, ports: str, action: Action, hook: Hook) -> NetEntry:
    network = ipaddress.ip_network(address)
    low, _, high = ports.partition("-")
    match = part.rule.connect or part.rule.bind
    assert match is not None
    raw, prefix = network.network_address.packed, network.prefixlen
    if network.version == 4:
        raw, prefix = b"\0" * 10 + b"\xff\xff" + raw, prefix + 96
    entry = NetEntry(groups=part.groups, rule=part.index, port_low=int(low), port_high=int(high), prefix=prefix)
    entry.address[:] = raw
    # An exception lets through whatever the protocol is.
    entry.protocol = 0 if action is Action.EXCEPT else PROTOCOLS[match.protocol]
    entry.action, entry.hooks = action, hook
    return entry


def exec_entries(parts: Sequence[Part]) -> list[ExecEntry]:
    """Paths and arguments: the exceptions of a rule stand before what it matches.

    Raises:
        UsageError: there are more than the kernel side has room for.
    """
    found: list[ExecEntry] = []
    for part in parts:
        match = part.rule.exec
        assert match is not None
        for entry in part.rule.exceptions:
            found += _execs(part, entry.path, _conditions(entry.argv, None), Action.EXCEPT)
        conditions = _conditions(match.argv, match.line)
        found += _execs(part, part.paths or None, conditions, _ACTIONS[part.rule.action])
    if len(found) > EXEC_ENTRIES:
        raise UsageError(f"{len(found)} programs to be held by text; at most {EXEC_ENTRIES}: name fewer paths")
    return found


def _execs(part: Part, paths: Iterable[str] | None, conditions: list[Condition], action: Action) -> list[ExecEntry]:
    found = []
    for path in paths or [""]:
        kind, text = _path_text(path)
        raw = text.encode()
        entry = ExecEntry(groups=part.groups, rule=part.index, path_length=len(raw), path_match=kind, action=action)
        entry.conditions = len(conditions)
        entry.path = raw
        for i, condition in enumerate(conditions[:CONDITIONS]):
            entry.condition[i] = condition
        found.append(entry)
    return found


def _path_text(path: str) -> tuple[PathMatch, str]:
    if not path:
        return PathMatch.ANY, ""
    if path.endswith("/**"):
        return PathMatch.STARTS, path[:-2]
    if not path.startswith("/"):
        return PathMatch.ENDS, f"/{path}"
    if any(c in path for c in "*?["):
        # Only what a text can hold: /dir/name* by its beginning. Wildcards elsewhere need the inode.
        head = path.rstrip("*")
        if any(c in head for c in "*?["):
            raise UsageError(
                f"{path}: with arguments or audit, a wildcard may only end the path; or name a directory: /dir/**"
            )
        return PathMatch.STARTS, head
    return PathMatch.IS, path


def _conditions(arguments: Sequence[Argument], line: Line | None) -> list[Condition]:
    found = [
        _condition(_argument_kind(argument), -1 if argument.index is None else argument.index) for argument in arguments
    ]
    if line is not None and line.starts is not None:
        found.append(_condition((ArgumentMatch.LINE_STARTS, line.starts), -1))
    elif line is not None and line.contains is not None:
        found.append(_condition((ArgumentMatch.LINE_CONTAINS, line.contains), -1))
    return found


def _argument_kind(argument: Argument) -> tuple[ArgumentMatch, str]:
    for kind, text in (
        (ArgumentMatch.IS, argument.is_),
        (ArgumentMatch.STARTS, argument.starts),
        (ArgumentMatch.ENDS, argument.ends),
        (ArgumentMatch.CONTAINS, argument.contains),
    ):
        if text is not None:
            return kind, text
    raise AssertionError("the schema lets no argument without a text through")


def _condition(wanted: tuple[ArgumentMatch, str], index: int) -> Condition:
    kind, text = wanted
    raw = text.encode()
    if len(raw) > 64:
        raise UsageError(f"{text!r} is longer than 64 bytes; use a shorter part of it")
    return Condition(index=index, length=len(raw), match=kind, text=raw)
