"""Who is an agent, by process identity: its tree, its root, the evidence for it, and how long that holds.

A node is a process, never a pid: threads, an exec and the exit of a leader before its threads change nothing, a reused pid is
another node. A process belongs to the top-most recognised one among those that made it, however it is re-parented since.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

from intact.identify.names import name_of
from intact.identify.recogniser import Image, Recognition, Request, Sight
from intact.identify.recognisers import RECOGNISERS
from intact.model.facts import Agent
from intact.model.identity import ProcessKey, host_hash, process_id
from intact.model.recognition import BizType, MatchOn, RecognitionRules
from intact.model.slice import Host

# Bounds on what a host can make us remember.
MOST_PROCESSES = 131_072
MOST_DEAD = 4_096  # whose last calls may still be told
MOST_AGENTS = 16_384
_MOST_WORDS, _MOST_CHARACTERS = 64, 4_096  # of a command line, and of a word
_CHECK_NS = 60_000_000_000
MANUAL = "manual"


class Mark(IntEnum):
    """What the kernel is to be told of a process (bpf/tls_judge.bpf.h)."""

    REFUSED = 0
    KNOWN = 2
    FORGOTTEN = 3


@dataclass(slots=True, eq=False)
class Node:
    """One process."""

    id: int
    pid: int
    start_ns: int  # epoch
    parent: "Node | None" = None
    children: "set[Node]" = field(default_factory=set)
    exe: str = ""
    argv: tuple[str, ...] = ()
    cwd: str = ""
    root: int = 0  # process id of the top-most agent above it or it itself
    is_dead: bool = False
    evidence: dict[str, Recognition] = field(default_factory=dict)
    serves: str = ""  # the request of a model's API that it answers itself
    agent: Agent | None = None


class Registry:
    """The processes of one host and the agents among them. `rules` None: the evidence of calls alone, as in a recording."""

    def __init__(
        self,
        host: Host,
        rules: RecognitionRules | None = None,
        *,
        environment: Callable[[ProcessKey], Mapping[str, str]] | None = None,
    ) -> None:
        known = host.root_tgid != 0
        self._host = host
        self._recorded = process_id(host_hash(host.boot_id), host.root_tgid, host.root_start_ns) if known else 0
        self._judges = rules is not None
        self._rules = rules or RecognitionRules()
        self._environment = environment
        self._nodes: dict[int, Node] = {}
        self._dead: deque[Node] = deque()
        self._agents: dict[int, Node] = {}
        self._touched: dict[int, Node] = {}
        self._marks: list[tuple[ProcessKey, Mark]] = []
        self._check_ns = 0
        self._review = False

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def rules(self) -> RecognitionRules:
        return self._rules

    def use(self, rules: RecognitionRules) -> None:
        """From the next slice on other rules count, also for the processes that run already."""
        self._rules = rules
        self._review = True

    # the tree

    def started(self, process: int, pid: int, start_ns: int, parent: int = 0) -> Node:
        """The process is there; known or not, this is its node."""
        node = self._nodes.get(process)
        if node is None:
            node = self._nodes[process] = Node(id=process, pid=pid, start_ns=start_ns)
            above = self._nodes.get(parent)
            if above is not None and above is not node:
                node.parent, node.root = above, above.root
                node.exe, node.argv, node.cwd = above.exe, above.argv, above.cwd
                above.children.add(node)
            while len(self._nodes) > MOST_PROCESSES:
                self._remove(next(each for each in self._nodes.values()))
        elif not node.pid:
            node.pid, node.start_ns = pid, start_ns
        return node

    def runs(self, node: Node, image: Image, at_ns: int) -> None:
        """The process has a new image."""
        node.exe, node.cwd = image.exe, image.cwd
        node.argv = tuple(word[:_MOST_CHARACTERS] for word in image.argv[:_MOST_WORDS])
        if self._judges:
            self._look_at_image(node, at_ns)

    def exited(self, process: int) -> None:
        """The last thread of the process is gone."""
        node = self._nodes.get(process)
        if node is None or node.is_dead:
            return
        node.is_dead = True
        self._dead.append(node)
        while len(self._dead) > MOST_DEAD:
            oldest = self._dead.popleft()
            if oldest.id not in self._agents:
                self._remove(oldest)

    def root_of(self, process: int) -> int:
        """The agent whose tree the process is in, 0 if it is in none; in a recording always the recorded command."""
        node = self._nodes.get(process)
        return self._recorded or (node.root if node is not None else 0)

    def live(self) -> Iterator[Node]:
        """The recognised processes that run."""
        return (node for node in self._agents.values() if not node.is_dead)

    # evidence

    def sees(self, process: int, pid: int, sight: Sight, first_ns: int, last_ns: int) -> bool:
        """A request or a call of the process; whether anything recognises it."""
        node = self._nodes.get(process) or self.started(process, pid, 0)
        found = list(self._recognitions(sight))
        for each in found:
            known = node.evidence.get(each.recogniser)
            if known is None or each.score > known.score:
                node.evidence[each.recogniser] = each
        if found:
            self._settle(node, first_ns, last_ns)
        elif self._judges and isinstance(sight, Request) and not self.root_of(process):
            # The kernel's table is a little wider than the rules: what it let through is none of ours.
            self._mark(node, Mark.FORGOTTEN)
        return bool(found)

    def answers(self, process: int, pid: int, request: str, at_ns: int) -> None:
        """The process is the server of a request that agents make."""
        node = self._nodes.get(process) or self.started(process, pid, 0)
        if not node.serves:
            node.serves = request
            if node.agent is not None:
                self._settle(node, at_ns, at_ns)

    def news(self, until_ns: int) -> list[Agent]:
        """The agents that are new or changed since the last time, each once; what is old is let go."""
        if self._review:
            self._review = False
            for node in [node for node in self._nodes.values() if not node.is_dead]:
                self._look_at_image(node, until_ns)
        if until_ns >= self._check_ns:
            self._check_ns = until_ns + _CHECK_NS
            self._expire(until_ns)
        touched, self._touched = self._touched, {}
        return [node.agent for node in touched.values() if node.agent is not None]

    def marks(self) -> list[tuple[ProcessKey, Mark]]:
        """What the kernel is to be told since the last time."""
        marks, self._marks = self._marks, []
        return marks

    def _look_at_image(self, node: Node, at_ns: int) -> None:
        before = {name: node.evidence.pop(name) for name in (MANUAL, "process") if name in node.evidence}
        image = Image(
            exe=node.exe,
            argv=node.argv,
            cwd=node.cwd,
            key=self._key(node),
            boot_id=self._host.boot_id,
            environment=self._environment_of(node),
        )
        now = {each.recogniser: each for each in self._recognitions(image)}
        node.evidence |= now
        if now != before:
            self._settle(node, at_ns, at_ns)
            refused = MANUAL in now and not now[MANUAL].is_agent
            self._mark(node, Mark.REFUSED if refused else Mark.KNOWN if node.evidence else Mark.FORGOTTEN)

    def _environment_of(self, node: Node) -> Mapping[str, str]:
        wanted = any(rule.match_on is MatchOn.ENV for rule in self._rules.processes)
        return self._environment(self._key(node)) if wanted and self._environment is not None else {}

    def _recognitions(self, sight: Sight) -> Iterator[Recognition]:
        for recogniser in RECOGNISERS:
            found = recogniser.recognise(sight, self._rules)
            if found is not None:
                yield found

    def _settle(self, node: Node, first_ns: int, last_ns: int) -> None:
        """What all evidence of a process comes to."""
        before = node.agent
        first = first_ns if before is None else min(before.first_seen_ns, first_ns)
        last = last_ns if before is None else max(before.last_seen_ns, last_ns)
        if before is None and not node.evidence:
            return
        best, role = _verdict(node)
        agent = Agent(
            id=node.id,
            process_id=node.id,
            root_process_id=node.id,
            biz_type=int(BizType.AGENT if role == "agent" else BizType.DEFAULT),
            name=before.name if before is not None else name_of(node.exe, node.argv, node.cwd),
            recogniser=best.recogniser,
            score=best.score,
            reason=best.reason,
            role=role,
            first_seen_ns=first,
            last_seen_ns=last,
        )
        was, is_now = before is not None and before.biz_type != 0, agent.biz_type != 0
        node.agent = agent
        if was != is_now:
            self._claim_tree(node)
        self._tell(node, replace(agent, root_process_id=self._recorded or node.root or node.id), before)

    def _tell(self, node: Node, agent: Agent, before: Agent | None) -> None:
        node.agent = agent
        self._agents[node.id] = node
        if agent != before:
            self._touched[node.id] = node
        while len(self._agents) > MOST_AGENTS:
            self._drop_agent(next(iter(self._agents.values())))

    def _claim_tree(self, node: Node) -> None:
        """Roots of a subtree anew: each process belongs to the top-most agent above it."""
        above = node.parent.root if node.parent is not None else 0
        todo = [(node, above)]
        while todo:
            each, root = todo.pop()
            is_agent = each.agent is not None and each.agent.biz_type != 0
            each.root = root or (each.id if is_agent else 0)
            if each is not node and each.agent is not None and is_agent and not self._recorded:
                self._tell(each, replace(each.agent, root_process_id=each.root), each.agent)
            todo += [(child, each.root) for child in each.children]

    def _expire(self, until_ns: int) -> None:
        """Let go of agents without a call for too long."""
        for node in list(self._agents.values()):
            agent = node.agent
            if self._recorded or agent is None or agent.last_seen_ns + self._rules.idle_ns > until_ns:
                continue
            if node.is_dead:
                self._drop_agent(node)
            elif agent.biz_type and MANUAL not in node.evidence:
                node.evidence.clear()
                hours = self._rules.idle_ns // 3_600_000_000_000
                node.agent = replace(
                    agent, biz_type=int(BizType.DEFAULT), role="expired", reason=f"no call for {hours} h"
                )
                self._touched[node.id] = node
                self._claim_tree(node)
                self._mark(node, Mark.FORGOTTEN)

    def _drop_agent(self, node: Node) -> None:
        self._agents.pop(node.id, None)
        if node.is_dead and node not in self._dead:
            self._remove(node)

    def _remove(self, node: Node) -> None:
        """Forget a process; those it made belong to whom it belonged."""
        self._nodes.pop(node.id, None)
        self._agents.pop(node.id, None)
        above = node.parent
        if above is not None:
            above.children.discard(node)
        for child in node.children:
            child.parent = above
            if above is not None:
                above.children.add(child)
        node.children = set()

    def _key(self, node: Node) -> ProcessKey:
        return ProcessKey(node.pid, node.start_ns - self._host.boot_offset_ns)

    def _mark(self, node: Node, mark: Mark) -> None:
        if self._judges and node.start_ns:
            self._marks.append((self._key(node), mark))


def _verdict(node: Node) -> tuple[Recognition, str]:
    """The evidence that counts most, and the role it gives."""
    manual = node.evidence.get(MANUAL)
    if manual is not None:
        return manual, "agent" if manual.is_agent else "refused"
    if not node.evidence:
        assert node.agent is not None
        gone = Recognition(recogniser=node.agent.recogniser, score=0.0, reason="no rule recognises it any longer")
        return gone, "former"
    best = max(node.evidence.values(), key=lambda each: each.score)
    if node.serves:
        reason = f"answers {node.serves} itself and asks on: a gateway, not an agent; {best.reason}"
        return replace(best, reason=reason), "proxy"
    return best, "agent"
