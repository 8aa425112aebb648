"""Whose is a process that an agent, or a worker or shell it keeps, started: decided once for the process and all it starts.

A root is such a process with its subtree. It is *whole* when all it ever does belongs to one cause (a command of a tool
call, even after the result went back), and *standing* when it serves many (a kept shell, a pool, a server): then its
effects are decided one by one, and each process it starts while a tool call is open is a root of its own.
"""

from intact.correlate.arguments import HINT, PART, THE_VERY, is_bare_shell, is_pool_worker
from intact.correlate.brackets import Bracket
from intact.correlate.links import Claim, housekeeping
from intact.correlate.state import Root
from intact.model.effects import Basis

_SAME = 1e-6


def confidence_of(score: float) -> float:
    """How sure a fit of the words makes a claim."""
    return 0.97 if score >= THE_VERY else 0.9 if score >= PART else 0.7


def claim_for(bracket: Bracket, *, basis: int, confidence: float, at_ns: int) -> Claim:
    """A claim that the tool call is the cause."""
    return Claim(cause_id=bracket.id, cause_kind=bracket.kind, basis=int(basis), confidence=confidence, at_ns=at_ns)


def due_ns(root: Root) -> int:
    """When the root is to be decided at the latest."""
    return root.fork_ns + root.agent.settings.settle_ns


def is_plain(root: Root) -> bool:
    """Whether one tool call fits so well that there is nothing to wait for."""
    fits = sorted((root.fits(b)[0] for b in root.agent.nearly_open_at(root.fork_ns)), reverse=True)
    return bool(fits) and fits[0] >= THE_VERY and (len(fits) == 1 or fits[1] < PART)


def decide(root: Root, earlier: list[Root]) -> None:
    """Set the claim of a root and whether it is standing; `earlier` are the agent's roots in order of fork."""
    touched = [(b, b.run_ns) for b in root.agent.nearly_open_at(root.fork_ns)]
    _decide(root, earlier)
    for bracket, run_ns in touched:
        if bracket.run_ns != run_ns:
            root.agent.changed_ns = min(root.agent.changed_ns, bracket.issued_ns)


def _decide(root: Root, earlier: list[Root]) -> None:
    agent, at = root.agent, root.fork_ns
    root.decided, root.doubted = True, False
    root.shell = is_bare_shell(root.argv)
    if root.bracket is not None:
        root.bracket.forget_run(root.node.id)
    root.bracket, root.score, root.standing, root.claim = None, 0.0, False, None
    candidates = agent.nearly_open_at(at)
    best, fitting, when = _best_fit(root, candidates)
    if best >= PART:
        _claim_by_words(root, fitting, earlier, when)
    elif not _claim_by_kind(root, best, fitting, when):
        _claim_by_bracket(root, [b for b in candidates if b.covers(at)])
    if agent.is_inner and (root.claim is None or not root.claim.stands):
        # What no tool call of a sub-agent explains belongs to the tool call that started the sub-agent.
        root.claim = agent.outer.claim if agent.outer is not None else None
    serves_many = is_pool_worker(root.argv) or (not root.argv and root.via is None)
    if (root.bracket is None and root.claim is None) or root.shell or (serves_many and root.score < THE_VERY):
        root.standing = True


def _best_fit(root: Root, candidates: list[Bracket]) -> tuple[float, list[Bracket], int]:
    best, fitting, when = 0.0, [], root.fork_ns
    for bracket in candidates:
        score, at_ns = root.fits(bracket)
        if score <= 0 or (score < PART and not bracket.covers(root.fork_ns)):
            continue
        if score > best + _SAME:
            best, fitting, when = score, [bracket], at_ns
        elif score > best - _SAME:
            fitting.append(bracket)
    return best, fitting, when


def _claim_by_words(root: Root, fitting: list[Bracket], earlier: list[Root], when: int) -> None:
    taken = {b.id: 0 for b in fitting}
    for other in earlier if len(fitting) > 1 else ():
        if other is root:
            break
        if other.decided and other.bracket is not None and other.bracket.id in taken and other.via is root.via:
            taken[other.bracket.id] += 1
    # Equal commands asked for at once: the results may tell them apart, else the first process is the first call's.
    told = {b.id: root.told_in(b.result) if len(fitting) > 1 else 0 for b in fitting}
    bracket = min(fitting, key=lambda b: (-told[b.id], taken[b.id], b.place))
    is_told = list(told.values()).count(told[bracket.id]) == 1 and len(fitting) > 1
    score = root.fits(bracket)[0]
    root.bracket, root.score = bracket, score
    sure = confidence_of(score) if len(fitting) == 1 else 0.9 if is_told else 0.7
    basis = Basis.ANCESTRY | Basis.BRACKET | Basis.ARGUMENT | (Basis.RESULT if is_told else 0)
    root.claim = claim_for(bracket, basis=basis, confidence=sure, at_ns=when)
    bracket.note_run(root.node.id, when)


def _claim_by_kind(root: Root, best: float, fitting: list[Bracket], when: int) -> bool:
    """Upkeep the agent is known for, and hints in the words."""
    agent, at = root.agent, root.fork_ns
    if not agent.is_inner and at < agent.first_issued_ns and not fitting:
        # Before the first tool call nothing is done on the model's words.
        sure = 0.9 if at < agent.first_call_ns else 0.7
        root.claim = housekeeping(agent.id, confidence=sure, at_ns=at)
        root.standing = True
        agent.learnt.see_command(root.argv, at)
        return True
    if agent.learnt.knows_command(root.argv, at) and not root.shell:
        root.claim = housekeeping(agent.id, confidence=0.75, at_ns=at)
        return True
    if best >= HINT and len(fitting) == 1 and not _runs_elsewhere(root, fitting[0]):
        root.bracket, root.score = fitting[0], best
        basis = Basis.ANCESTRY | Basis.BRACKET | Basis.ARGUMENT
        root.claim = claim_for(fitting[0], basis=basis, confidence=confidence_of(best), at_ns=when)
        return True
    return False


def _claim_by_bracket(root: Root, candidates: list[Bracket]) -> None:
    agent, at = root.agent, root.fork_ns
    tid = root.node.fork_tid
    kept_shell = root.via is not None and root.via.shell
    idle = candidates if kept_shell else [b for b in candidates if not _runs_elsewhere(root, b)]
    lone = agent.lone(idle, at, tid)
    if lone is None and kept_shell:
        lone = agent.lone([b for b in candidates if b.words.commands], at, tid)
    if lone is not None:
        root.bracket = lone
        sure = 0.7 if kept_shell else 0.65
        root.claim = claim_for(lone, basis=Basis.ANCESTRY | Basis.BRACKET, confidence=sure, at_ns=at)
    elif idle:
        root.claim = claim_for(idle[-1], basis=Basis.ANCESTRY | Basis.BRACKET, confidence=0.3, at_ns=at)
    elif candidates and not agent.is_inner:
        # All that was asked for runs already: this one the agent starts for itself.
        root.claim = housekeeping(agent.id, confidence=0.6, at_ns=at)
    elif not agent.is_inner:
        agent.learnt.see_command(root.argv, at)


def _runs_elsewhere(root: Root, bracket: Bracket) -> bool:
    if bracket.words.commands:
        return root.agent.known_before(bracket.run_ns, root.fork_ns)
    # A file tool that was seen at its file in the agent's own process needs no other.
    return root.agent.known_before(bracket.touched_ns, root.fork_ns)
