"""Effects of processes that serve many causes (the agent, a kept shell, a pool): decided per path or peer and time."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from intact.correlate.arguments import HINT, LOOPBACK, PART, THE_VERY, is_literal
from intact.correlate.brackets import Bracket
from intact.correlate.housekeeping import is_noise, is_own, is_runtime, is_temporary
from intact.correlate.links import Claim, LinkWriter, housekeeping, same_cause, withdrawn
from intact.correlate.roots import claim_for, confidence_of
from intact.correlate.state import NO_CODES, AgentState, Node, Root, Unit, What
from intact.model.effects import Basis, CauseKind, Kind

FD_REGULAR, FD_DIRECTORY, FD_SOCKET = 1, 2, 4
_NAMED = PART + 0.8  # the words give the whole path: that outweighs what the agent is known to do
LAST_STANDARD_FD = 2  # what an agent prints goes where it was told to, also if that is a file
_LOCAL_SERVICES = ("/run/", "/var/run/", "@")
_MOST_CLAIMS = 65_536

Sockets = dict[tuple[int, int], tuple[str, int]]  # (process, socket) -> peer
# A number a row (none if all are equal), and what the numbers stand for.
Coded = tuple[npt.NDArray[np.int64], list[Any]]
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "process": ("kind", "tid"),
    "file": ("kind", "tid", "path", "old_path"),
    "io": ("kind", "tid", "path", "fd", "fd_kind", "inode"),
    "net": ("kind", "tid", "address", "port"),
}
_PLAIN = ("kind", "tid")  # what every family has


def columns_of(family: str) -> list[str]:
    """What is kept of rows that wait for a decision."""
    return ["id", "at_ns", "process_id", *_COLUMNS.get(family, _PLAIN)]


def units_of(node: Node, family: str, rows: pa.RecordBatch, sockets: Sockets) -> list[Unit]:
    """The rows of one process cut into units: equal in all that a decision looks at but the time."""
    coded = {name: _coded(_seen_as(name, rows.column(name))) for name in _COLUMNS.get(family, _PLAIN)}
    at = rows.column("at_ns").to_numpy()
    ids = rows.column("id").to_numpy()
    key = _combined(list(coded.values()), len(at))
    in_time = bool((at[1:] >= at[:-1]).all())
    order = np.argsort(key, kind="stable") if in_time else np.lexsort((at, key))
    starts = np.flatnonzero(np.diff(key[order], prepend=-1)).tolist()
    units = []
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        index = order[start:end]
        row = {name: values[codes[index[0]] if len(codes) else 0] for name, (codes, values) in coded.items()}
        when = at[index]
        units.append(Unit(node, _what(node, family, row, sockets), ids[index], when, int(when[0]), int(when[-1])))
    return units


def _seen_as(name: str, column: pa.Array) -> pa.Array:
    """Of a descriptor only matters whether it is a standard one: 1 or 0."""
    return pc.less_equal(column, LAST_STANDARD_FD).cast(pa.int8()) if name == "fd" else column


def _coded(column: pa.Array) -> Coded:
    if pa.types.is_string(column.type):
        if not pc.any(pc.not_equal(pc.binary_length(column), 0)).as_py():
            return NO_CODES, [""]
        encoded = pc.dictionary_encode(column)
        return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()
    numbers = column.to_numpy()
    if (numbers == numbers[0]).all():
        return NO_CODES, [numbers[0].item()]
    values, codes = np.unique(numbers, return_inverse=True)
    return codes.astype(np.int64), values.tolist()


def _combined(columns: list[Coded], count: int) -> npt.NDArray[np.int64]:
    varied = [column for column in columns if len(column[0])]
    if not varied:
        return np.zeros(count, np.int64)
    key = varied[0][0]
    for codes, values in varied[1:]:
        # Renumbered each time: the product of all sizes could overflow.
        key = np.unique(key * len(values) + codes, return_inverse=True)[1].astype(np.int64)
    return key


def _what(node: Node, family: str, row: dict[str, Any], sockets: Sockets) -> What:
    kind, tid = row["kind"], row["tid"]
    if family == "file":
        return What(family=family, kind=kind, tid=tid, path=row["path"], old_path=row["old_path"])
    if family == "net":
        return What(family=family, kind=kind, tid=tid, address=row["address"], port=row["port"])
    if family == "io":
        if row["fd_kind"] == FD_SOCKET:
            address, port = sockets.get((node.id, row["inode"]), ("", 0))
            return What(family="net", kind=kind, tid=tid, address=address, port=port, is_plumbing=not address)
        plumbing = row["fd_kind"] not in (FD_REGULAR, FD_DIRECTORY)
        return What(
            family=family, kind=kind, tid=tid, path=row["path"], is_plumbing=plumbing, is_standard=bool(row["fd"])
        )
    return What(family=family, kind=kind, tid=tid)


def decide_unit(unit: Unit, agent: AgentState, writer: LinkWriter) -> None:
    """Make the claims of a unit, and write links where they differ from those made before."""
    spans = agent.intervals(unit.at)
    if spans[0] == spans[-1]:
        claims, codes = [_claim(unit, agent, int(spans[0]), unit.first_ns)], NO_CODES
    else:
        firsts = np.flatnonzero(np.diff(spans, prepend=-1))
        claims = [_claim(unit, agent, int(spans[first]), int(unit.at[first])) for first in firsts.tolist()]
        codes = np.searchsorted(firsts, np.arange(len(spans)), side="right") - 1
    if unit.is_decided:
        _revise(unit, claims, codes, writer)
    else:
        unit.is_decided = True
        for code, claim in enumerate(claims):
            if claim is not None:
                writer.add(unit.ids[codes == code] if len(claims) > 1 else unit.ids, claim, 0)
    unit.claims, unit.codes = claims, codes


def _revise(unit: Unit, claims: list[Claim | None], codes: npt.NDArray[np.int64], writer: LinkWriter) -> None:
    if len(claims) == len(unit.claims) == 1 and same_cause(unit.claims[0], claims[0]):
        return
    zeros = np.zeros(len(unit.ids), np.int64)
    before, after = (each if len(each) else zeros for each in (unit.codes, codes))
    changed = False
    for pair in np.unique(before * len(claims) + after).tolist():
        old, new = unit.claims[pair // len(claims)], claims[pair % len(claims)]
        if same_cause(old, new):
            continue
        stands = new if new is not None else withdrawn(old) if old is not None else None
        if stands is not None:
            rows = (before == pair // len(claims)) & (after == pair % len(claims))
            writer.add(unit.ids[rows], stands, unit.revision + 1)
            changed = True
    unit.revision += changed


def _claim(unit: Unit, agent: AgentState, span: int, at_ns: int) -> Claim | None:
    """One decision for all that a process does alike while the same tool calls are open."""
    node, root = unit.node, unit.node.root
    if node.agent is None and root is None:
        return None
    if node.agent is None and root is not None and not root.standing:
        return root.claim
    key = (node.id, unit.what, span)
    if key not in agent.claims:
        if len(agent.claims) >= _MOST_CLAIMS:
            agent.claims.clear()
        if node.agent is not None:
            agent.claims[key] = _in_agent(unit.what, agent, at_ns)
        elif root is not None:
            agent.claims[key] = _in_standing(unit.what, root, agent, at_ns)
    return agent.claims[key]


def _in_agent(what: What, agent: AgentState, at_ns: int) -> Claim | None:
    """An effect of the agent's own process."""
    if what.family == "process":
        return _residual(agent) or housekeeping(agent.id, confidence=0.9, at_ns=at_ns)
    best, fitting = _best_fit(what, agent.open_at(at_ns))
    # A command's files are first its processes' affair: the agent's own upkeep outweighs that it names them.
    is_sure = best >= THE_VERY or not all(_is_busy(agent, bracket, at_ns) for bracket in fitting)
    if best >= _NAMED and is_sure:
        if best >= THE_VERY:
            _touch(agent, fitting, at_ns)
            agent.learnt.see_work(what.path, at_ns, fitting[0].id)
        return _by_words(_first(fitting, what, at_ns), best, len(fitting), at_ns, ancestry=False)
    upkeep = _upkeep(what, agent, at_ns)
    if upkeep is not None:
        return upkeep
    if best >= PART or (best >= HINT and len(fitting) == 1):
        return _by_words(_first(fitting, what, at_ns), best, len(fitting), at_ns, ancestry=False)
    found = _by_bracket(what, agent, at_ns) or _residual(agent)
    if (found is None or not found.stands) and not what.is_write:
        # It looks again at what a tool call named: those words are why.
        cause = agent.learnt.worked_on(what.path, at_ns)
        if cause is not None:
            kind = CauseKind.TOOL_CALL
            return Claim(cause_id=cause, cause_kind=kind, basis=int(Basis.ARGUMENT), confidence=0.55, at_ns=at_ns)
    return found or _hint(agent, at_ns)


def _in_standing(what: What, root: Root, agent: AgentState, at_ns: int) -> Claim | None:
    """An effect of a process that works for one tool call after the other."""
    born = root.claim if root.claim is not None and root.claim.stands else None
    if what.family == "process":
        return born or _residual(agent) or _hint(agent, at_ns)
    best, fitting = _best_fit(what, agent.open_at(at_ns))
    if best >= PART:
        return _by_words(_first(fitting, what, at_ns), best, len(fitting), at_ns, ancestry=True)
    open_now = list(agent.open_at(at_ns))
    if root.bracket is not None and (not root.shell or root.bracket in open_now):
        return born
    if root.shell:
        lone = agent.lone(open_now, at_ns, 0) or agent.lone([b for b in open_now if b.words.commands], at_ns, 0)
        if lone is not None:
            basis = Basis.ANCESTRY | Basis.BRACKET
            return claim_for(lone, basis=basis, confidence=0.7, at_ns=at_ns)
        return born or _residual(agent) or _hint(agent, at_ns)
    known = agent.learnt.knows_path(what.path, agent.first_issued_ns)
    if what.is_plumbing or known or is_runtime(what.path, what.kind) or is_own(what.path):
        return born or _residual(agent) or housekeeping(agent.id, confidence=0.7, at_ns=at_ns)
    if best >= HINT and len(fitting) == 1:
        return _by_words(fitting[0], best, 1, at_ns, ancestry=True)
    lone = agent.lone([b for b in open_now if not _is_busy(agent, b, at_ns)], at_ns, 0)
    if lone is not None and not is_noise(what.path, agent.cwd):
        basis = Basis.ANCESTRY | Basis.BRACKET
        return claim_for(lone, basis=basis, confidence=0.6, at_ns=at_ns)
    return born or _residual(agent) or _hint(agent, at_ns)


def _fit(what: What, bracket: Bracket) -> float:
    words = bracket.words
    if what.family == "net":
        return words.match_address(what.address, what.port) if what.address else 0.0
    score = words.match_path(what.path, writes=what.is_write)
    return max(score, words.match_path(what.old_path, writes=what.is_write)) if what.old_path else score


def _best_fit(what: What, candidates: tuple[Bracket, ...]) -> tuple[float, list[Bracket]]:
    best, fitting = 0.0, []
    for bracket in candidates:
        score = _fit(what, bracket)
        if score > best:
            best, fitting = score, [bracket]
        elif score == best and score > 0:
            fitting.append(bracket)
    return best, fitting


def _first(fitting: list[Bracket], what: What, at_ns: int) -> Bracket:
    """Of tool calls whose words fit equally: the one on the same thread, else the newest still binding."""
    return min(fitting, key=lambda b: (b.asked.tid != what.tid, not b.binds(at_ns), -b.issued_ns, b.order, b.id))


def _by_words(bracket: Bracket, score: float, rivals: int, at_ns: int, *, ancestry: bool) -> Claim:
    basis = Basis.BRACKET | Basis.ARGUMENT | (Basis.ANCESTRY if ancestry else 0)
    sure = confidence_of(score) if rivals == 1 else 0.6
    return claim_for(bracket, basis=basis, confidence=sure, at_ns=at_ns)


def _touch(agent: AgentState, fitting: list[Bracket], at_ns: int) -> None:
    for bracket in fitting:
        if bracket.touched_ns is None or at_ns < bracket.touched_ns:
            bracket.touched_ns = at_ns
            agent.changed_ns = min(agent.changed_ns, bracket.issued_ns)


def _upkeep(what: What, agent: AgentState, at_ns: int) -> Claim | None:
    """What the agent does for itself, if this is it."""
    if agent.is_inner:
        return None
    if at_ns < agent.first_issued_ns:
        # Before the first tool call nothing is done on the model's words.
        return housekeeping(agent.id, confidence=0.9 if at_ns < agent.first_call_ns else 0.7, at_ns=at_ns)
    if what.family == "net":
        known = (
            what.is_plumbing
            or _is_model(what, agent, at_ns)
            or what.address.startswith(_LOCAL_SERVICES)
            or (what.kind == Kind.CLOSE and not what.port)
            or agent.learnt.knows_peer(what.address, what.port, agent.first_issued_ns)
            or (what.port == 53 and not any(b.words.names_a_host for b in agent.open_at(at_ns)))
        )
    else:
        known = (
            what.is_plumbing
            or what.is_standard
            or is_runtime(what.path, what.kind)
            or is_own(what.path)
            or is_noise(what.path, agent.cwd)
            or agent.learnt.knows_path(what.path, agent.first_issued_ns)
            or (what.old_path != "" and agent.learnt.knows_path(what.old_path, agent.first_issued_ns))
        )
    return housekeeping(agent.id, confidence=0.8, at_ns=at_ns) if known else None


def _is_model(what: What, agent: AgentState, at_ns: int) -> bool:
    """Whether the peer is the agent's model: by address, or by port where only its name is known."""
    for host, port in agent.endpoints:
        if port == what.port and (host == what.address or (host == "localhost" and what.address in LOOPBACK)):
            return True
        if port == what.port and not is_literal(host) and host != "localhost" and what.address not in LOOPBACK:
            return not any(b.words.match_address(what.address, what.port) for b in agent.open_at(at_ns))
    return False


def _is_busy(agent: AgentState, bracket: Bracket, at_ns: int) -> bool:
    return bracket.words.commands != [] and agent.known_before(bracket.run_ns, at_ns)


def _by_bracket(what: What, agent: AgentState, at_ns: int) -> Claim | None:
    """Only one tool call can have done it and its own doing was not seen elsewhere."""
    candidates = agent.open_at(at_ns)
    if not candidates:
        return None
    idle = [b for b in candidates if not _is_busy(agent, b, at_ns)]
    untouched = [b for b in idle if not agent.known_before(b.touched_ns, at_ns)]
    if not untouched and not agent.is_inner and is_temporary(what.path, agent.cwd):
        return housekeeping(agent.id, confidence=0.6, at_ns=at_ns)
    lone = agent.lone(untouched, at_ns, what.tid)
    if lone is not None:
        return claim_for(lone, basis=Basis.BRACKET, confidence=0.6, at_ns=at_ns)
    told = [b for b in untouched if what.path and (what.path in b.result or _name(what.path) in b.result)]
    if len(told) == 1:
        return claim_for(told[0], basis=Basis.BRACKET | Basis.RESULT, confidence=0.55, at_ns=at_ns)
    if agent.is_inner:
        return None
    return claim_for(candidates[-1], basis=Basis.BRACKET, confidence=0.3, at_ns=at_ns)


def _name(path: str) -> str:
    name = path.rpartition("/")[2]
    return name if len(name) >= 4 else path


def _residual(agent: AgentState) -> Claim | None:
    """What no tool call of a sub-agent explains belongs to the tool call that started the sub-agent."""
    return agent.outer.claim if agent.outer is not None and agent.is_inner else None


def _hint(agent: AgentState, at_ns: int) -> Claim | None:
    near = agent.near(at_ns)
    return None if near is None else claim_for(near, basis=Basis.TIME, confidence=0.2, at_ns=at_ns)
