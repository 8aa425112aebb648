"""The stage: feeds tree, agents and turns with each slice, decides what is due, and writes links."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from posixpath import basename

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from intact.correlate.links import LinkWriter, housekeeping, same_cause, withdrawn
from intact.correlate.process_tree import Executed, Exited, Forked, ProcessTree, Step
from intact.correlate.roots import decide, due_ns, is_plain
from intact.correlate.settings import DEFAULT, CorrelateSettings
from intact.correlate.state import NEVER, AgentState, Held, Node, Root
from intact.correlate.turns import Turns
from intact.correlate.units import Sockets, columns_of, decide_unit, units_of
from intact.model.effects import Kind
from intact.model.facts import Agent, Fact, LlmCall, Loss, McpCall, Process, ToolCall
from intact.model.slice import Host, Slice

_FAMILIES = ("process", "file", "net", "io")  # net before io: a socket's peer is known by its connect
_MOST_SOCKETS = 65_536
_MOST_UNITS = 50_000  # of one agent stay open to revision
_MOST_PASSES = 4
_MOST_PATHS = 512  # of one process and slice are compared with results


def correlate(slices: Iterable[Slice], host: Host, *, settings: CorrelateSettings = DEFAULT) -> Iterator[Slice]:
    """Add the process tree, turns, and links from causes to effects.

    A link is written at the latest `settle_ns` of data time after the slice that holds its effect; evidence that comes
    within the horizon after that gives a link of a higher revision.
    """
    correlator = Correlator(host, settings)
    until_ns = 0
    for piece in slices:
        until_ns = max(until_ns, piece.until_ns)
        yield correlator.take(piece)
    yield correlator.finish(until_ns)


class Correlator:
    """All state of one recording."""

    def __init__(self, host: Host, settings: CorrelateSettings) -> None:
        self._host = host
        self._settings = settings
        self._tree = ProcessTree(capacity=settings.nodes)
        self._agents: dict[int, AgentState] = {}
        self._turns = Turns()
        self._writer = LinkWriter()
        self._sockets: Sockets = {}
        self._warm: deque[tuple[Node, Held]] = deque()  # held rows, oldest first
        self._warm_rows = 0
        self._cold: deque[tuple[Node, int]] = deque()
        self._cold_rows = 0
        self._losses: dict[str, int] = {}
        self._told: dict[str, int] = {}

    def take(self, piece: Slice) -> Slice:
        """One slice on, with what it and time make certain."""
        batch = piece.effects.get("process")
        for fact in piece.facts:
            if isinstance(fact, Process):
                self._tree.alive(fact)
        steps = list(self._tree.read(batch)) if batch is not None else []
        added: list[Fact] = []
        # By their own time: a cut may bring a process and the first words it says in one slice.
        for _, _, event in sorted(_by_time(piece.facts, steps), key=lambda timed: timed[:2]):
            if isinstance(event, Forked | Executed | Exited):
                self._apply(event)
            else:
                added += self._read_fact(event)
        added += [step.node.process for step in steps if isinstance(step, Executed | Exited)]
        for family in (*_FAMILIES, *(name for name in piece.effects if name not in _FAMILIES)):
            rows = piece.effects.get(family)
            if rows is not None and rows.num_rows:
                self._route(family, rows, piece.until_ns)
        self._decide(piece.until_ns)
        self._age(piece.until_ns)
        added += self._tree.silent(piece.until_ns - self._settings.settle_ns)
        added += self._new_losses(piece.until_ns)
        return replace(piece, facts=(*piece.facts, *added), links=self._writer.take())

    def finish(self, until_ns: int) -> Slice:
        """What was left open, decided with all that will ever be known."""
        self._decide(NEVER)
        facts: list[Fact] = [*self._tree.silent(NEVER), *self._new_losses(until_ns)]
        return Slice(until_ns=until_ns, facts=tuple(facts), links=self._writer.take())

    # facts

    def _read_fact(self, fact: Fact) -> Iterator[Fact]:
        if isinstance(fact, Agent):
            # A gateway, or a process that a person says is none, is told of too: what it does has no cause to look for.
            if fact.biz_type and fact.process_id not in self._agents:
                self._adopt(self._tree.node(fact.process_id), fact.first_seen_ns)
        elif isinstance(fact, LlmCall):
            agent = self._agents.get(fact.process_id)
            if agent is not None:
                agent.take_call(fact)
                turn = self._turns.take_call(fact)
                if turn is not None:
                    yield turn
        elif isinstance(fact, ToolCall):
            agent = self._agents.get(fact.process_id)
            self._turns.take_tool_call(fact)
            if agent is not None and not fact.server_side:
                agent.take_tool_call(fact)
        elif isinstance(fact, McpCall) and fact.tool_call_id is None:
            agent = self._agent_above(self._tree.node(fact.process_id))
            if agent is not None:
                agent.take_tool_call(fact)

    def _agent_above(self, node: Node | None) -> AgentState | None:
        while node is not None:
            if node.agent is not None:
                return node.agent
            node = node.parent
        return None

    def _adopt(self, node: Node, first_seen_ns: int) -> None:
        """A process turned out to be an agent: what it did so far was its start."""
        agent = AgentState(node=node, settings=self._settings, first_call_ns=first_seen_ns, outer=node.root)
        self._agents[node.id] = node.agent = agent
        self._thaw(node)
        todo = list(node.children)
        while todo:
            child = todo.pop(0)
            if child.arrived and child.agent is None and child.root is None:
                self._place(child)
                todo += child.children
        self._adopt_launchers(agent)

    def _adopt_launchers(self, agent: AgentState) -> None:
        """An agent that starts itself once more (with other options of its runtime) did its start twice."""
        identity, above = _identity(agent.node.argv), agent.node.parent
        while above is not None and above.root is None and above.agent is None and identity:
            if _identity(above.argv) != identity:
                break
            claim = housekeeping(agent.id, confidence=0.8, at_ns=above.fork_ns)
            above.root = Root(above, agent, above.fork_ns, fixed=True, decided=True, claim=claim, told=claim)
            self._thaw(above)
            above = above.parent

    # the tree

    def _apply(self, step: Step) -> None:
        step.node.arrived = True
        if isinstance(step, Forked):
            self._place(step.node)
        elif isinstance(step, Executed):
            if step.node.root is None and step.node.agent is None:
                self._place(step.node)
            root = step.node.root
            if root is not None and (step.at_ns, step.argv) not in root.evidence:
                root.note_exec(step.at_ns, step.argv)

    def _place(self, node: Node) -> None:
        """Find the root a process belongs to."""
        parent = node.parent
        if parent is None or node.agent is not None or (node.root is not None and node.root.node is node):
            return
        if parent.agent is not None and node.root is None:
            self._plant(node, parent.agent, None)
        elif parent.root is not None and not parent.root.fixed and parent.agent is None:
            above = parent.root
            if above.decided and above.standing and above.agent.open_at(node.fork_ns):
                self._plant(node, above.agent, above)
                above.agent.changed_ns = min(above.agent.changed_ns, node.fork_ns)
            elif node.root is not above:
                self._join(node, above)

    def _plant(self, node: Node, agent: AgentState, via: Root | None) -> None:
        root = Root(node, agent, node.fork_ns, via=via)
        agent.roots.append(root)
        self._join(node, root)

    def _join(self, node: Node, root: Root) -> None:
        node.root = root
        root.nodes.append(node)
        for at_ns, argv in node.execs:
            root.note_exec(at_ns, argv)
        if not root.decided or root.standing:
            root.agent.loose.append(node)
        if root.decided:
            self._thaw(node)

    # rows

    def _route(self, family: str, rows: pa.RecordBatch, until_ns: int) -> None:
        owner = rows.column("process_id")
        if family == "process":
            made = pc.and_(pc.equal(rows.column("kind"), int(Kind.FORK)), pc.invert(rows.column("is_thread")))
            owner = pc.if_else(made, rows.column("child_id"), owner)
        elif family == "signal":
            owner = self._signalled(rows)
        elif family == "net":
            self._note_sockets(rows)
        encoded = pc.dictionary_encode(owner)
        nodes = [self._tree.node(process_id) for process_id in encoded.dictionary.to_pylist()]
        codes = encoded.indices.to_numpy()
        if len(nodes) == 1:
            self._rows_of(nodes[0], family, rows, until_ns)
            return
        targets, target_of = self._targets(nodes)
        codes = target_of[codes]
        order = np.argsort(codes, kind="stable")
        starts = np.searchsorted(codes[order], np.arange(len(targets) + 1))
        ids = rows.column("id").to_numpy()
        at = rows.column("at_ns").to_numpy()
        for number, target in enumerate(targets):
            index = order[starts[number] : starts[number + 1]]
            if isinstance(target, Root):
                if family == "file" and target.wants_paths:
                    target.note_paths(rows.column("path").take(pa.array(index[:_MOST_PATHS])).to_pylist())
                self._link_whole(target, ids[index], int(at[index[-1]]))
            else:
                self._rows_of(target, family, rows.take(pa.array(index)), until_ns)

    def _signalled(self, rows: pa.RecordBatch) -> pa.Array:
        """Whose rows these are: an agent ends a command for the sake of what it started the command for."""
        pairs = zip(rows.column("process_id").to_pylist(), rows.column("target_id").to_pylist(), strict=True)
        owners = [to if by in self._agents and to in self._tree.nodes else by for by, to in pairs]
        return pa.array(owners, pa.uint64())

    def _targets(self, nodes: list[Node]) -> tuple[list[Root | Node], npt.NDArray[np.int64]]:
        """Rows of all processes of a whole root go one way; other processes each their own."""
        numbers: dict[int, int] = {}
        targets: list[Root | Node] = []
        target_of = np.empty(len(nodes), np.int64)
        for index, node in enumerate(nodes):
            root = node.root
            whole = root is not None and node.agent is None and root.decided and not root.standing
            target: Root | Node = root if root is not None and whole else node
            number = numbers.setdefault(id(target), len(targets))
            if number == len(targets):
                targets.append(target)
            target_of[index] = number
        return targets, target_of

    def _rows_of(self, node: Node, family: str, rows: pa.RecordBatch, until_ns: int) -> None:
        root = node.root
        if node.agent is not None:
            self._add_units(node, node.agent, family, rows)
        elif root is None or not root.decided:
            self._hold(node, Held(family, rows.select(columns_of(family)), until_ns))
        elif root.standing:
            self._add_units(node, root.agent, family, rows)
        else:
            if family == "file" and root.wants_paths:
                root.note_paths(rows.column("path").slice(0, _MOST_PATHS).to_pylist())
            self._link_whole(root, rows.column("id").to_numpy(), until_ns)

    def _link_whole(self, root: Root, ids: npt.NDArray[np.uint64], last_ns: int) -> None:
        if root.told is not None:
            self._writer.add(ids, root.told, root.revision)
        if not root.fixed and not root.closed:
            root.kept.append((last_ns, ids))

    def _note_sockets(self, rows: pa.RecordBatch) -> None:
        wanted = pc.is_in(rows.column("kind"), value_set=pa.array([Kind.CONNECT, Kind.ACCEPT, Kind.SEND], pa.uint8()))
        some = rows.filter(wanted).select(["process_id", "socket", "address", "port"])
        for process_id, socket, address, port in zip(*(c.to_pylist() for c in some.columns), strict=True):
            self._sockets[(process_id, socket)] = (address, port)
        while len(self._sockets) > _MOST_SOCKETS:
            del self._sockets[next(iter(self._sockets))]

    def _add_units(self, node: Node, agent: AgentState, family: str, rows: pa.RecordBatch) -> None:
        units = units_of(node, family, rows, self._sockets)
        for unit in units:
            if unit.first_ns >= agent.first_issued_ns:
                continue
            if unit.what.path:
                agent.learnt.see_path(unit.what.path, unit.what.kind, unit.first_ns, agent.cwd)
            if unit.what.address and node.agent is not None:
                agent.learnt.see_peer(unit.what.address, unit.what.port, unit.first_ns)
        agent.fresh += units

    # rows of processes about which nothing is decided

    def _hold(self, node: Node, held: Held) -> None:
        node.held.append(held)
        self._warm.append((node, held))
        self._warm_rows += held.rows.num_rows

    def _thaw(self, node: Node) -> None:
        """It is known now whose the rows of a process are."""
        held, node.held = node.held, []
        cold, node.cold = node.cold, []
        if node.cold_lost:
            self._losses["startup_forgotten"] = self._losses.get("startup_forgotten", 0) + node.cold_lost
            node.cold_lost = 0
        root, agent = node.root, node.agent
        whole = agent is None and root is not None and root.decided and not root.standing
        for piece in held:
            if whole and root is not None:
                if piece.family == "file" and root.wants_paths:
                    root.note_paths(piece.rows.column("path").slice(0, _MOST_PATHS).to_pylist())
                self._link_whole(root, piece.rows.column("id").to_numpy(), piece.last_ns)
            elif agent is not None:
                self._add_units(node, agent, piece.family, piece.rows)
            elif root is not None:
                self._add_units(node, root.agent, piece.family, piece.rows)
        for ids in cold:
            claim = root.told if root is not None and agent is None else None
            if claim is None and agent is not None:
                claim = housekeeping(agent.id, confidence=0.9, at_ns=agent.first_call_ns)
            if claim is not None:
                self._writer.add(ids, claim, 0)

    def _age(self, now_ns: int) -> None:
        """Bound what is kept: of old rows only the ids, and of those the newest."""
        settings = self._settings
        while self._warm:
            node, held = self._warm[0]
            waiting = any(piece is held for piece in node.held)
            if waiting and self._warm_rows <= settings.held_rows and held.last_ns >= now_ns - settings.horizon_ns:
                break
            self._warm.popleft()
            self._warm_rows -= held.rows.num_rows
            if waiting:
                node.held = [piece for piece in node.held if piece is not held]
                ids = held.rows.column("id").to_numpy()
                node.cold.append(ids)
                self._cold.append((node, len(ids)))
                self._cold_rows += len(ids)
        while self._cold_rows > settings.cold_rows:
            node, count = self._cold.popleft()
            self._cold_rows -= count
            if node.cold:
                node.cold.pop(0)
                node.cold_lost += count

    # decisions

    def _decide(self, now_ns: int) -> None:
        for agent in self._agents.values():
            from_ns = NEVER
            for _ in range(_MOST_PASSES):
                if agent.changed_ns != NEVER:
                    from_ns, agent.changed_ns = min(from_ns, agent.changed_ns), NEVER
                    agent.claims.clear()
                self._decide_roots(agent, now_ns, from_ns)
                self._decide_units(agent, now_ns, from_ns)
                if agent.changed_ns == NEVER:
                    break
            self._prune(agent, now_ns)

    def _decide_roots(self, agent: AgentState, now_ns: int, from_ns: int) -> None:
        agent.roots.sort(key=lambda root: (root.fork_ns, root.node.id))
        moved = False
        for root in list(agent.roots):
            if not root.decided:
                if now_ns < due_ns(root) and not is_plain(root):
                    continue
            elif root.fork_ns < from_ns and not root.doubted:
                continue
            was_decided, was_standing = root.decided, root.standing
            decide(root, agent.roots)
            self._tell(root)
            if not was_decided or was_standing != root.standing:
                for node in root.nodes:
                    if node.root is root:
                        self._thaw(node)
            moved = True
        if moved or from_ns != NEVER:
            for node in sorted(agent.loose, key=lambda n: (n.fork_ns, n.id)):
                self._place(node)

    def _tell(self, root: Root) -> None:
        if same_cause(root.told, root.claim):
            return
        old, root.told = root.told, root.claim
        claim = root.claim if root.claim is not None else withdrawn(old) if old is not None else None
        if claim is not None and root.kept:
            root.revision += 1
            for _, ids in root.kept:
                self._writer.add(ids, claim, root.revision)
        for node in root.nodes:
            if node.agent is not None:
                node.agent.changed_ns = min(node.agent.changed_ns, root.fork_ns)

    def _decide_units(self, agent: AgentState, now_ns: int, from_ns: int) -> None:
        settled_ns = now_ns - self._settings.settle_ns
        due = [unit for unit in agent.fresh if unit.first_ns <= settled_ns]
        if due:
            agent.fresh = [unit for unit in agent.fresh if unit.first_ns > settled_ns]
            agent.units.extend(due)
        if from_ns != NEVER:
            due = [unit for unit in agent.units if not unit.is_decided or unit.last_ns >= from_ns]
        due.sort(key=lambda unit: (unit.first_ns, int(unit.ids[0])))
        for unit in due:
            decide_unit(unit, agent, self._writer)

    def _prune(self, agent: AgentState, now_ns: int) -> None:
        before = now_ns - self._settings.horizon_ns - self._settings.late_ns
        agent.prune(before)
        gone = [root for root in agent.roots if root.decided and root.fork_ns < before]
        for root in gone:
            root.closed = True
            root.kept.clear()
        if gone:
            agent.roots = [root for root in agent.roots if not (root.decided and root.fork_ns < before)]
        if agent.loose and agent.loose[0].fork_ns < before:
            agent.loose = [node for node in agent.loose if node.fork_ns >= before]
        while agent.units and (agent.units[0].last_ns < before or len(agent.units) > _MOST_UNITS):
            agent.units.popleft()

    def _new_losses(self, at_ns: int) -> list[Loss]:
        self._losses["processes_forgotten"] = self._tree.forgotten
        self._losses["brackets_forgotten"] = sum(agent.dropped for agent in self._agents.values())
        self._losses["not_learnt"] = sum(agent.learnt.refused for agent in self._agents.values())
        found = []
        for cause, count in self._losses.items():
            new = count - self._told.get(cause, 0)
            if new > 0:
                self._told[cause] = count
                found.append(Loss(stage="correlate", cause=cause, count=new, at_ns=at_ns))
        return found


def _by_time(facts: Iterable[Fact], steps: Iterable[Step]) -> Iterator[tuple[int, int, Fact | Step]]:
    """Facts and steps with the time and rank at which they count."""
    for step in steps:
        yield step.at_ns, 0, step
    for fact in facts:
        if isinstance(fact, Agent):
            yield fact.first_seen_ns, 1, fact
        elif isinstance(fact, LlmCall):
            yield fact.started_ns if fact.ended_ns is None else fact.ended_ns, 2, fact
        elif isinstance(fact, ToolCall):
            yield fact.issued_ns if fact.answered_ns is None else fact.answered_ns, 3, fact
        elif isinstance(fact, McpCall):
            yield fact.started_ns if fact.ended_ns is None else fact.ended_ns, 3, fact


def _identity(argv: tuple[str, ...]) -> str:
    """What program a command line runs, whatever options its runtime was given: interpreter and script."""
    if not argv:
        return ""
    script = next((word for word in argv[1:] if not word.startswith("-")), "")
    name = basename(argv[0])
    return f"{name} {script}" if script.endswith((".js", ".mjs", ".cjs", ".py")) or "/" in script else ""
