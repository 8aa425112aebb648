"""`intact why`: every effect on a file, a host or a process, and the words that caused each."""

import json
import os
from pathlib import Path
from typing import Any

import typer
from rich.text import Text
from rich.tree import Tree

from intact.cli.reading import opened
from intact.cli.terminal import clip, clock, console, plural, quote, safe, size
from intact.cli.tree import CALL, DIM, PROCESS, TOOL, argument_words, error_name, outcome, target, verb
from intact.query.why import why

MOST = 50
PEERS = {"connect", "accept", "bind", "listen", "send"}
GUIDE = 4  # cells of a branch of the tree
LEAST = 20  # cells for words of any length; a line that is still too long wraps
CLAIM = 0.5  # a link below this is a guess

Row = dict[str, Any]


def run(
    target: str = typer.Argument(
        ..., metavar="PATH|HOST|PID", help="A file, an address, host name or host:port, or a process."
    ),
    wanted: str | None = typer.Argument(
        None, metavar="[RUN]", help="Id, name, or the beginning of one; default: the latest."
    ),
    data: Path | None = typer.Option(None, "--data", metavar="DIR", help="Data directory."),
    as_json: bool = typer.Option(False, "--json", help="Print a JSON list."),
) -> None:
    """Which words made this what it is: every effect on it, newest first, each with its cause.

    Example: intact why src/app.py
    """
    with opened(data, wanted) as (database, chosen):
        assert chosen is not None
        found = why(database, as_stored(target), chosen.id)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=True))
        return
    if not found:
        typer.echo(f"nothing in run {chosen.id} touched {safe(target)}")
        raise typer.Exit(1)
    out = console()
    width = max(60, out.width if out.is_terminal else 160)
    root = Tree(Text(safe(target), style="bold").append(f"  in run {chosen.id}", style=DIM), guide_style=DIM)
    groups = _together(found)
    for group in groups[:MOST]:
        root.add(_effects(group, width)).add(_cause(group[0], width))
    if len(groups) > MOST:
        root.add(Text(f"and {plural(len(groups) - MOST, 'older group')} of effects; see them with --json", style=DIM))
    out.print(root)


def as_stored(target: str) -> str:
    """The target as the store may hold it: bytes that are no text written out, `./x` and `../x` from here on."""
    if target.startswith(("./", "../")):
        target = os.path.abspath(target)
    return os.fsencode(target).decode("utf-8", "backslashreplace")


def _together(found: list[Row]) -> list[list[Row]]:
    """What one process did for one cause belongs on one line; order stays newest first."""
    groups: dict[tuple[Any, Any], list[Row]] = {}
    for one in found:
        cause = one["link"]["cause_id"] if one["link"] else None
        groups.setdefault((one["effect"]["process_id"], cause), []).append(one)
    return list(groups.values())


def _effects(group: list[Row], width: int) -> Text:
    text = Text(f"{clock(group[0]['effect']['at_ns'])}  ", style=DIM)
    kinds: dict[tuple[str, int], list[Row]] = {}
    for one in reversed(group):
        kinds.setdefault((one["effect"]["kind"], outcome(one["effect"])), []).append(one["effect"])
    moved = {"file_read", "file_write"} & {kind for kind, _ in kinds}
    shown = [k for k in kinds if not (k[0] in ("file_open", "close") and (moved or len(kinds) > 1) and k[1] == 0)]
    for place, (kind, result) in enumerate(shown):
        text.append(", " if place else "").append(*_verb(kind, result, kinds[kind, result]))
    process = group[0]["process"]
    if process is not None:
        line = quote(process["argv"]) or process["exe"] or process["comm"] or "?"
        pid = f" [{process['pid']}]"
        room = width - GUIDE - text.cell_len - len("  by ") - len(pid)
        text.append("  by ", style=DIM).append(clip(line, max(room, LEAST)), style=PROCESS).append(pid, style=DIM)
    return text


def _verb(kind: str, result: int, effects: list[Row]) -> tuple[str, str]:
    """What was done, in words, and the style to print it in."""
    words = "ran" if kind == "exec" else verb(effects[0])
    if kind in PEERS and len(peers := {target(effect) for effect in effects}) == 1:
        words += f" {clip(peers.pop(), 60)}"
    volume = sum(e["bytes"] or 0 for e in effects)
    if volume:
        words += f" {size(volume)}"
    elif len(effects) > 1:
        words += f" ×{len(effects)}"
    old = effects[0]["old_path"]
    if old:
        words += f" from {clip(old, 80)}"
    if result < 0:
        return f"{words} failed: {error_name(result)}", "red"
    return words, "bold" if kind not in ("file_read", "file_open") else "default"


def _cause(one: Row, width: int) -> Text:
    """From the tool call back to the user's words, each on a line."""
    link = one["link"]
    if link is None:
        return Text("unexplained: no call of the model led to this", style="bold red")
    if link["cause_kind"] == "housekeeping":
        return Text("the agent's own housekeeping", style=DIM)
    text = Text("because " if link["confidence"] >= CLAIM else "perhaps ", style=DIM)
    tool, call = one["tool_call"], one["call"]
    if tool is not None:
        ground = f"  ({', '.join(link['basis'])}; {link['confidence']:.2f})"
        text.append(safe(tool["name"]), style=TOOL)
        room = width - 2 * GUIDE - text.cell_len - len(ground) - 2
        text.append(f"  {clip(argument_words(tool['arguments']), max(room, LEAST))}").append(ground, style=DIM)
    if call is not None:
        model = call["response_model"] or call["request_model"] or "the model"
        text.append("\nasked by ", style=DIM).append(safe(model), style=CALL).append(
            f" at {clock(call['started_ns'])}", style=DIM
        )
    if one["user_words"]:
        text.append("\nafter the user said ", style=DIM).append(
            f"“{clip(one['user_words'], max(width - 2 * GUIDE - 22, LEAST))}”", style="bold"
        )
    return text
