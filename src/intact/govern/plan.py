"""Rules to mechanisms: which part of a rule is held by what, and what may be promised for it on this kernel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from intact.govern.landlock import Allowed
from intact.govern.policy import AllowMatch, Exception_, NetMatch, Policy, Rule, ports_of
from intact.model.errors import UsageError

CGROUP = "cgroup"  # connect, sendmsg, bind and sock_create programs
FANOTIFY = "fanotify"  # permission events of inodes and directories
EXEC_KILL = "exec_kill"  # a signal in sched_process_exec
OBSERVE = "observe"  # matched in what was recorded, after the fact
SECCOMP = "seccomp"  # system calls by number, for a tree that we launch
LANDLOCK = "landlock"  # an allow-list, for a tree that we launch
LANDLOCK_TCP = "landlock_tcp"  # why that cannot be used for ports, where it can for files
NONE = "none"

PREVENTED = "prevented"
STOPPED_AFTER = "stopped_after"
OBSERVED = "observed"
NOT_ENFORCED = "not_enforced"

EVERYONE = 1  # the group every member is in
MOST_SELECTORS = 62

_MANY_TREES = "tree is for commands that intact record starts; a sensor knows agents: use agent"
_NO_LSM = "unlink and rename cannot be refused without an LSM, which this kernel does not let us load"
_KILLED = "arguments are known when the image is loaded: killed before its first instruction, not refused"
_BY_NAME = "a program by name alone is held by no inode: killed before its first instruction, not refused"
_LISTED = "from the start of the command; a refusal is not counted; setuid and setgid programs give it nothing"
_BESIDE = "what Landlock does not see: fast open and multipath TCP; only these are counted"
_LATER = "what is new in a subdirectory made later is held some milliseconds after it is made"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The part of a rule that one mechanism holds."""

    index: int  # of the rule in the plan: the number the kernel side knows it by
    rule: Rule
    policy: str
    mechanism: str
    promise: str
    paths: tuple[str, ...] = ()
    access: tuple[str, ...] = ()  # read, write, …; of credentials: uid, gid, …
    groups: int = EVERYONE
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All rules in order, and their parts."""

    rules: tuple[Rule, ...]
    parts: tuple[Part, ...]
    selectors: tuple[str, ...]  # agent patterns; the n-th is group bit n + 1

    def of(self, mechanism: str) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if part.mechanism == mechanism)

    def groups_of(self, agent: str) -> int:
        """The groups an agent of this name is in."""
        return EVERYONE | sum(2 << i for i, pattern in enumerate(self.selectors) if fnmatchcase(agent, pattern))


def make_plan(
    policies: Sequence[Policy],
    unusable: Mapping[str, str],
    *,
    program: str = "",
    selectors: Sequence[str] = (),
    agents_only: bool = False,
) -> Plan:
    """Choose a mechanism for each part of each rule.

    `unusable` maps a mechanism to why it cannot be used here; `program` is the first program of the tree, for rules by tree.
    `selectors` are those of the plan before: the bits that processes have keep their meaning. With `agents_only` a rule that
    names no agent is for any agent, and for nobody else.

    Raises:
        UsageError: rules name more agents than there are bits.
    """
    rules: list[Rule] = []
    parts: list[Part] = []
    names = list(selectors)
    for policy in policies:
        for rule in policy.rules:
            wanted = rule.agent or ("*" if agents_only else None)
            if wanted is not None and wanted not in names:
                names.append(wanted)
            if len(names) > MOST_SELECTORS:
                raise UsageError(f"more than {MOST_SELECTORS} names of agents in the rules of one scope; start it anew")
            index = len(rules)
            rules.append(rule)
            groups = EVERYONE if wanted is None else 2 << names.index(wanted)
            whole = Part(
                index=index, rule=rule, policy=policy.name, mechanism=NONE, promise=NOT_ENFORCED, groups=groups
            )
            if rule.tree is not None and not _tree_matches(rule.tree, program):
                runs = f"this tree runs {program or 'no known program'}, not {rule.tree}"
                parts.append(replace(whole, note=_MANY_TREES if agents_only else runs))
                continue
            parts += _held(_TARGETS[rule.target](whole), unusable)
    _one_list([part for part in parts if part.mechanism == LANDLOCK])
    return Plan(rules=tuple(rules), parts=tuple(parts), selectors=tuple(names))


def _tree_matches(pattern: str, program: str) -> bool:
    return fnmatchcase(program, pattern) or fnmatchcase(program.rpartition("/")[2], pattern)


def allowed(plan: Plan) -> Allowed | None:
    """What Landlock has to let the tree do, and nothing else; None if no rule asks."""
    parts = plan.of(LANDLOCK)
    if not parts:
        return None
    match = parts[0].rule.allow
    assert match is not None
    kinds = {kind for part in parts for kind in part.access}
    return Allowed(
        files=tuple((path, tuple(entry.access)) for entry in match.files or () for path in entry.path)
        if "files" in kinds
        else None,
        connect=ports_of(match.connect or ()) if "connect" in kinds else None,
        bind=ports_of(match.bind or ()) if "bind" in kinds else None,
    )


def _one_list(parts: Sequence[Part]) -> None:
    first = next(iter(parts), None)
    for part in parts:
        if first is not None and part.index != first.index:
            raise UsageError(
                f"rule {part.rule.id} of policy {part.policy} is a second allow-list for this tree, beside rule "
                f"{first.rule.id} of policy {first.policy}; make one list of both"
            )


def _held(parts: Sequence[Part], unusable: Mapping[str, str]) -> list[Part]:
    found = [_usable(part, unusable) for part in parts]
    if parts[0].rule.allow is None or any(part.mechanism == LANDLOCK and "files" not in part.access for part in found):
        return found
    return [part for part in found if part.mechanism != CGROUP]  # it stands beside Landlock, not in its place


def _usable(part: Part, unusable: Mapping[str, str]) -> Part:
    reason = unusable.get(part.mechanism)
    if part.mechanism == LANDLOCK and "files" not in part.access:
        reason = reason or unusable.get(LANDLOCK_TCP)
    if not reason:
        return part
    if part.mechanism == FANOTIFY and part.rule.exec is not None and not unusable.get(EXEC_KILL):
        note = f"fanotify: {reason}; killed by the text of its path instead, which a link or another name passes"
        return replace(part, mechanism=EXEC_KILL, note=note)
    note = reason if part.mechanism == LANDLOCK else f"{part.mechanism}: {reason}"
    return replace(part, mechanism=NONE, promise=NOT_ENFORCED, note=note)


def _exec(whole: Part) -> list[Part]:
    match = whole.rule.exec
    assert match is not None
    by_path = tuple(path for path in match.path or () if path.startswith("/"))
    by_name = tuple(path for path in match.path or () if not path.startswith("/"))
    if whole.rule.action == "audit":
        return [replace(whole, mechanism=EXEC_KILL, promise=OBSERVED, paths=by_path + by_name)]
    if match.argv or match.line:
        return [replace(whole, mechanism=EXEC_KILL, promise=PREVENTED, paths=by_path + by_name, note=_KILLED)]
    parts = []
    if by_path and any(entry.argv for entry in whole.rule.exceptions):
        note = "an exception by argument is decided when the image is loaded: killed, not refused"
        parts.append(replace(whole, mechanism=EXEC_KILL, promise=PREVENTED, paths=by_path, note=note))
    elif by_path:
        note = _LATER if any(path.endswith("/**") for path in by_path) else ""
        parts.append(replace(whole, mechanism=FANOTIFY, promise=PREVENTED, paths=by_path, note=note))
    if by_name:
        parts.append(replace(whole, mechanism=EXEC_KILL, promise=PREVENTED, paths=by_name, note=_BY_NAME))
    return parts


def _file(whole: Part) -> list[Part]:
    match = whole.rule.file
    assert match is not None
    paths = tuple(match.path)
    opens = tuple(kind for kind in match.access if kind in ("read", "write"))
    others = tuple(kind for kind in match.access if kind not in opens)
    if whole.rule.action == "audit":
        return [replace(whole, mechanism=OBSERVE, promise=OBSERVED, paths=paths, access=tuple(match.access))]
    parts = []
    if opens:
        note = _LATER if any(path.endswith("/**") for path in paths) else ""
        parts.append(replace(whole, mechanism=FANOTIFY, promise=PREVENTED, paths=paths, access=opens, note=note))
    if others:
        promise = STOPPED_AFTER if whole.rule.action == "kill" else OBSERVED
        parts.append(replace(whole, mechanism=OBSERVE, promise=promise, paths=paths, access=others, note=_NO_LSM))
    return parts


def _network(whole: Part) -> list[Part]:
    promise = OBSERVED if whole.rule.action == "audit" else PREVENTED
    note = "refused, then killed" if whole.rule.action == "kill" else ""
    return [replace(whole, mechanism=CGROUP, promise=promise, note=note)]


def _credential(whole: Part) -> list[Part]:
    if whole.rule.action == "audit":
        return [replace(whole, mechanism=OBSERVE, promise=OBSERVED)]
    if whole.rule.action == "kill":
        return [replace(whole, mechanism=OBSERVE, promise=STOPPED_AFTER, note="killed when the change was seen")]
    assert whole.rule.credential is not None
    changes = tuple(whole.rule.credential.change)
    note = "refused to the command from its start; a refusal is not counted"
    return [replace(whole, mechanism=SECCOMP, promise=PREVENTED, access=changes, note=note)]


def _syscall(whole: Part) -> list[Part]:
    assert whole.rule.syscall is not None
    if whole.rule.action == "audit":  # of the sensor's mode; no policy asks for it
        return [replace(whole, note="no hook tells of a system call, so it cannot only be observed")]
    names = tuple(whole.rule.syscall.name)
    note = "refused to the command from its start; a refusal is not counted"
    return [replace(whole, mechanism=SECCOMP, promise=PREVENTED, access=names, note=note)]


def _allow(whole: Part) -> list[Part]:
    match = whole.rule.allow
    assert match is not None
    if whole.rule.action == "audit":  # of the sensor's mode; no policy asks for it
        return [replace(whole, note="Landlock holds only what Intact launches, and cannot only observe")]
    parts = []
    held = replace(whole, mechanism=LANDLOCK, promise=PREVENTED, note=_LISTED)
    if match.files is not None:
        paths = tuple(path for entry in match.files for path in entry.path)
        parts.append(replace(held, paths=paths, access=("files",)))
    ports = tuple(kind for kind in ("connect", "bind") if getattr(match, kind) is not None)
    if ports:
        parts.append(replace(held, access=ports))
    return parts + [_beside(whole, match, kind) for kind in ports]


def _beside(whole: Part, match: AllowMatch, kind: str) -> Part:
    """The ports that are not listed, denied by address: TCP has ways that Landlock does not see."""
    listed = getattr(match, kind)
    exceptions = [Exception_(port=listed)] if listed else []
    denied = {kind: NetMatch(protocol="tcp"), "allow": None, "exceptions": exceptions}
    return replace(whole, mechanism=CGROUP, promise=PREVENTED, rule=whole.rule.model_copy(update=denied), note=_BESIDE)


_TARGETS = {
    "exec": _exec,
    "file": _file,
    "connect": _network,
    "bind": _network,
    "credential": _credential,
    "syscall": _syscall,
    "allow": _allow,
}
