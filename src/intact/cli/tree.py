"""A run as a tree a person enjoys: turn, call, tool call, and what each caused on the machine."""

import errno
import os
import signal
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from rich.text import Text
from rich.tree import Tree

from intact.cli.terminal import clip, clock, duration, number, plural, quote, safe, size
from intact.query.words import user_words

Row = dict[str, Any]

DIM = "dim"
CALL = "bold cyan"
TOOL = "bold yellow"
PROCESS = "bold green"
BAD = "bold red"
QUIET_PREFIXES = ("/usr/", "/lib", "/etc/", "/proc/", "/sys/", "/dev/", "/opt/", "/bin/", "/sbin/")
# What changed something outlives what only looked; the latter is counted unless it is all there is.
LOOKING = {"file_open", "file_read", "close"}
# So few unexplained effects are all worth a line, whatever they are.
FEW = 20
LIFE = {"fork", "exec", "exit"}
# Lines of one process for one cause; the rest is counted by kind.
MOST_LINES = 100
LEAST = 32  # cells for words of any length
VERBS = {
    "file_open": "opened",
    "file_read": "read",
    "file_write": "wrote",
    "file_create": "created",
    "file_delete": "deleted",
    "file_rename": "renamed",
    "file_link": "linked",
    "file_chmod": "chmod",
    "file_chown": "chown",
    "file_truncate": "truncated",
    "dir_create": "made directory",
    "dir_delete": "removed directory",
    "connect": "connected to",
    "accept": "accepted from",
    "bind": "bound",
    "listen": "listened on",
    "send": "sent to",
    "credential_change": "changed credentials",
    "signal": "sent signal",
}
_CREDENTIAL_PARTS = ("uid", "euid", "suid", "fsuid", "gid", "egid", "sgid", "fsgid", "groups")
_CAPABILITY_PARTS = ("caps", "permitted", "inheritable", "ambient")


class RunTree:
    """Builds the tree of one run from the object of `show --json`."""

    def __init__(self, shown: Row, *, full: bool = False, width: int = 160) -> None:
        self.shown = shown
        self.full = full
        self.width = max(60, width)
        self.processes = {p["id"]: p for p in shown["processes"]}
        self.tools_of_call: dict[str, list[Row]] = defaultdict(list)
        for tool in shown["tool_calls"]:
            self.tools_of_call[tool["call_id"]].append(tool)
        claims = {k["effect_id"]: k for k in shown["links"] if k["confidence"] >= 0.5}
        self.caused: dict[str, list[Row]] = defaultdict(list)
        self.housekeeping: list[Row] = []
        self.unexplained: list[Row] = []
        self.images: dict[str, list[Row]] = defaultdict(list)
        for effect in shown["effects"]:
            if effect["kind"] == "exec" and effect["result"] == 0:
                self.images[effect["process_id"]].append(effect)
            claim = claims.get(effect["id"])
            if claim is None:
                self.unexplained.append(effect)
            elif claim["cause_kind"] == "housekeeping":
                self.housekeeping.append(effect)
            else:
                self.caused[claim["cause_id"]].append(effect)

    def build(self) -> Tree:
        """The whole tree, heading first, the ledger's verdict last."""
        root = Tree(self._heading(), guide_style=DIM)
        calls = {c["id"]: c for c in self.shown["calls"]}
        in_turn: set[str] = set()
        for index, turn in enumerate(self.shown["turns"], 1):
            members = [calls[i] for i in turn["call_ids"] if i in calls]
            in_turn |= {c["id"] for c in members}
            branch = root.add(self._turn_line(index, turn, members))
            for call in members:
                self._add_call(branch, call)
        for call in self.shown["calls"]:
            if call["id"] not in in_turn:
                self._add_call(root, call)
        if not self.shown["calls"]:
            root.add(Text("no call to a model was seen", style=DIM))
        self._add_rest(root)
        root.add(self._ledger_line())
        for note in self.shown["ledger"]["notes"]:
            root.add(Text(f"note: {clip(note, self.width)}", style="yellow"))
        return root

    def _room(self, taken: int) -> int:
        """Cells for words of any length beside `taken` others; on a narrow terminal the line wraps rather than says nothing."""
        return max(self.width - taken, LEAST)

    def _heading(self) -> Text:
        run = self.shown["run"]
        text = Text(f"run {safe(str(run['id']))}", style="bold")
        took = run["ended_ns"] - run["started_ns"] if run["ended_ns"] else None
        text.append(f"  {clip(quote(run['command'] or []), 90)}", style="default")
        text.append(f"  {duration(took) if took is not None else 'still running'}", style=DIM)
        code = run["exit_code"]
        if code is not None:
            text.append(f"  exit {code}", style=BAD if code else DIM)
        text.append(f"  {clock(run['started_ns'], date=True)} on {safe(run['host'] or '?')}", style=DIM)
        return text

    def _turn_line(self, index: int, turn: Row, calls: list[Row]) -> Text:
        text = Text(f"turn {index}", style="bold magenta")
        words = first_words(calls)
        if words:
            text.append(f"  “{clip(words, self._room(60))}”", style="default")
        text.append(f"  {plural(len(calls), 'call')}{tokens(calls)}", style=DIM)
        end = turn["ended_ns"]
        text.append(f"  {duration(end - turn['started_ns'] if end else None)}", style=DIM)
        if not turn["complete"]:
            text.append("  unfinished", style="yellow")
        return text

    def _add_call(self, branch: Tree, call: Row) -> None:
        text = Text("call ", style=DIM).append(safe(call["response_model"] or call["request_model"] or "?"), style=CALL)
        text.append(tokens([call]), style=DIM)
        text.append(f"  {duration(call['ended_ns'] - call['started_ns'] if call['ended_ns'] else None)}", style=DIM)
        if call["finish_reasons"]:
            text.append(f"  {safe(', '.join(call['finish_reasons']))}", style=DIM)
        if call["error_type"]:
            text.append(f"  error {safe(call['error_type'])}", style=BAD)
        if not call["complete"]:
            text.append(
                f"  incomplete: {clip(call['problem'] or str(call['missing_bytes']) + ' bytes missing', 60)}",
                style="yellow",
            )
        node = branch.add(text)
        said = spoken(call["output_messages"])
        if said:
            node.add(Text(f"“{clip(said, self._room(16))}”", style="italic"))
        self._add_effects(node, self.caused.get(call["id"], []))
        for tool in self.tools_of_call.get(call["id"], []):
            self._add_tool(node, tool)

    def _add_tool(self, node: Tree, tool: Row) -> None:
        text = Text("tool ", style=DIM).append(safe(tool["name"]), style=TOOL)
        text.append(f"  {clip(argument_words(tool['arguments']), self._room(50))}")
        took = tool["answered_ns"] - tool["issued_ns"] if tool["answered_ns"] else None
        if took is None:
            text.append("  no result seen", style=DIM)
        else:
            text.append(f"  {'failed' if tool['is_error'] else 'ok'}", style=BAD if tool["is_error"] else "green")
            text.append(f"  {duration(took)}", style=DIM)
        self._add_effects(node.add(text), self.caused.get(tool["id"], []))

    def _add_effects(self, node: Tree, effects: list[Row]) -> None:
        """Processes as a tree of their own, each with what it did."""
        if not effects:
            return
        by_process: dict[str, list[Row]] = defaultdict(list)
        for effect in effects:
            by_process[effect["process_id"]].append(effect)
        started = {e["process_id"] for e in effects if e["kind"] == "exec"}
        nodes: dict[str, Tree] = {}

        def place(process_id: str) -> Tree:
            if process_id in nodes:
                return nodes[process_id]
            process = self.processes.get(process_id)
            parent = process["parent_id"] if process else None
            above = place(parent) if parent in by_process and parent != process_id else node
            if process is None or process_id not in started:
                nodes[process_id] = above  # the agent itself, or a shell it keeps open: no line of its own
            else:
                nodes[process_id] = above.add(self._process_line(process))
            return nodes[process_id]

        for process_id, own in by_process.items():
            self._add_lines(place(process_id), own, all_of_them=self.full)

    def _process_line(self, process: Row) -> Text:
        text = Text(
            clip(quote(process["argv"]) or process["exe"] or process["comm"] or "?", self._room(50)), style=PROCESS
        )
        text.append(f"  [{process['pid']}]", style=DIM)
        if process["exit_signal"]:
            text.append(f"  killed by signal {process['exit_signal']}", style=BAD)
        elif process["exit_code"] is not None:
            text.append(f"  exit {process['exit_code']}", style=BAD if process["exit_code"] else DIM)
        if process["end_ns"]:
            # The recorded command waits for the probes before its first program: that is not its time.
            began = max(process["start_ns"], self.shown["run"]["started_ns"])
            text.append(f"  {duration(process['end_ns'] - began)}", style=DIM)
        return text

    def _add_lines(self, node: Tree, effects: list[Row], *, all_of_them: bool = False) -> None:
        lines: dict[tuple[str, str, bool], list[Row]] = defaultdict(list)
        hidden: list[Row] = []
        for effect in effects:
            if effect["kind"] in LIFE:
                continue
            quiet = effect["kind"] in LOOKING and (
                effect["kind"] != "file_read" or (effect["path"] or "").startswith(QUIET_PREFIXES)
            )
            quiet = quiet or (effect["kind"] == "file_write" and effect["path"] == "/dev/null")
            if quiet and not all_of_them:
                hidden.append(effect)
            else:
                lines[(effect["kind"], target(effect), outcome(effect) < 0)].append(effect)
        most = len(lines) if self.full else MOST_LINES
        for (_, where, failed), rows in list(lines.items())[:most]:
            node.add(self._effect_line(where, failed, rows))
        more = [row for rows in list(lines.values())[most:] for row in rows]
        if more:
            node.add(Text(f"more: {summary(more)}; list them with --full", style=DIM))
        if hidden:
            paths = {e["path"] for e in hidden if e["path"]}
            node.add(Text(f"and looked at {plural(len(paths), 'file')}", style=DIM))

    def _effect_line(self, where: str, failed: bool, rows: list[Row]) -> Text:
        text = Text(f"{verb(rows[0])} ", style=BAD if failed else "default")
        text.append(clip(where, self._room(40)))
        volume = sum(r["bytes"] or 0 for r in rows)
        if volume:
            text.append(f"  {size(volume)}", style=DIM)
        if len(rows) > 1 and not volume:
            text.append(f"  ×{len(rows)}", style=DIM)
        if failed:
            text.append(f"  failed: {error_name(rows[0]['result'])}", style=BAD)
        return text

    def _add_rest(self, root: Tree) -> None:
        if self.housekeeping:
            root.add(Text(f"housekeeping  {summary(self.housekeeping)}", style=DIM))
        if self.unexplained:
            branch = root.add(Text(f"unexplained  {summary(self.unexplained)}", style="bold red"))
            by_process: dict[str, list[Row]] = defaultdict(list)
            for effect in self.unexplained:
                by_process[effect["process_id"]].append(effect)
            for process_id, own in by_process.items():
                process = self.processes.get(process_id)
                line = self._process_line(process) if process else Text(f"process {process_id}", style=PROCESS)
                self._add_lines(branch.add(line), own, all_of_them=self.full or len(own) <= FEW)
        else:
            root.add(Text("unexplained  nothing", style="green"))

    def _ledger_line(self) -> Text:
        ledger = self.shown["ledger"]
        lost = {f"{s['stage']}: {cause}": n for s in ledger["stages"] for cause, n in s["lost"].items() if n}
        if ledger["complete"]:
            return Text(
                f"ledger  complete: all of {plural(len(self.shown['effects']), 'effect')} seen was kept", style="green"
            )
        parts = [f"{number(n)} lost at {safe(where)}" for where, n in lost.items()]
        clipped = len(ledger["clipped_calls"])
        if clipped:
            parts.append(f"{plural(clipped, 'call')} clipped")
        return Text(f"ledger  incomplete: {'; '.join(parts) or 'see the notes'}", style=BAD)


def target(effect: Row) -> str:
    """What an effect was done to, in words."""
    if effect["kind"] in ("file_rename", "file_link"):
        return f"{effect['old_path']} → {effect['path']}"
    if effect["kind"] == "file_chmod" and effect["mode"] is not None:
        return f"{effect['path']} {effect['mode']:o}"
    if effect["path"]:
        return str(effect["path"])
    if effect["kind"] == "credential_change":
        return _credential_words(effect["detail"])
    if effect["kind"] == "signal":
        return _signal_words(effect["detail"])
    if effect["address"] is not None:
        port = effect["port"]
        host = f"[{effect['address']}]" if ":" in effect["address"] and port else effect["address"]
        return f"{host}:{port}" if port else str(host)
    return quote(effect["argv"] or [])


def _credential_words(detail: Row) -> str:
    """What a call or an exec changed: `setresuid: uid 0→1000, euid 0→1000`."""
    parts = [
        f"{name} {before}→{after}"
        for name in _CREDENTIAL_PARTS
        if (before := detail[f"old_{name}"]) != (after := detail[f"new_{name}"])
    ]
    if any(detail[f"old_{name}"] != detail[f"new_{name}"] for name in _CAPABILITY_PARTS):
        parts.append(f"capabilities {int(detail['old_caps']):x}→{int(detail['new_caps']):x}")
    return f"{detail['call']}: {', '.join(parts) or 'nothing'}"


def _signal_words(detail: Row) -> str:
    """`SIGKILL to pid 42`."""
    known = detail["signal"] in {int(one) for one in signal.Signals}
    name = signal.Signals(detail["signal"]).name if known else str(detail["signal"])
    return f"{name} to {'pid ' + str(detail['target_pid']) if detail['target_pid'] else 'an unknown process'}"


def verb(effect: Row) -> str:
    """What was done, in words that go before what it was done to."""
    if effect["kind"] == "connect" and effect["result"] == -errno.EINPROGRESS:
        return "connecting to"
    kind = str(effect["kind"])
    return VERBS.get(kind, kind)


def outcome(effect: Row) -> int:
    """0, or the negative errno of what failed; a connect that does not wait for its end has not failed."""
    result = min(effect["result"], 0)
    return 0 if effect["kind"] == "connect" and result == -errno.EINPROGRESS else int(result)


def error_name(result: int) -> str:
    """`-2` as `ENOENT (No such file or directory)`."""
    return f"{errno.errorcode.get(-result, str(-result))} ({os.strerror(-result)})"


def summary(effects: Iterable[Row]) -> str:
    """How many effects of which kind, in words."""
    counts: dict[str, int] = defaultdict(int)
    for effect in effects:
        counts[effect["kind"]] += 1
    total = sum(counts.values())
    parts = ", ".join(f"{number(n)} {kind}" for kind, n in sorted(counts.items(), key=lambda i: -i[1])[:6])
    return f"{plural(total, 'effect')} ({parts})"


def tokens(calls: list[Row]) -> str:
    """Tokens and cost of calls, in words; empty where nothing is known."""
    taken = sum(c["input_tokens"] or 0 for c in calls)
    cached = sum(c["cache_read_input_tokens"] or 0 for c in calls)
    given = sum(c["output_tokens"] or 0 for c in calls)
    costs = [c["cost_usd"] for c in calls if c["cost_usd"] is not None]
    if not taken and not given:
        return ""
    inside = f" ({number(cached)} cached)" if cached else ""
    cost = f"  ${sum(costs):.4f}" if costs else ""
    return f"  {number(taken)}{inside} in / {number(given)} out tokens{cost}"


def first_words(calls: list[Row]) -> str:
    """What the user said that began this turn; of its calls the one that was offered most tools is the main one."""
    for call in sorted(calls, key=lambda c: -len(c["tool_definitions"] or [])):
        said = user_words(call["input_messages"])
        if said:
            return " ".join(said.split())
    return ""


def spoken(messages: Iterable[Row]) -> str:
    """The model's own words in its answer."""
    return " ".join(
        " ".join(str(p.get("content", "")) for p in m.get("parts", []) if p.get("type") == "text") for m in messages
    ).strip()


def argument_words(arguments: Row) -> str:
    """Arguments of a tool call on one line; a single command or path stands alone."""
    if len(arguments) == 1:
        value = next(iter(arguments.values()))
        return value if isinstance(value, str) else str(value)
    return "  ".join(f"{k}={v if isinstance(v, str) else str(v)}" for k, v in arguments.items())
