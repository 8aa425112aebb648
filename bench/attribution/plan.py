"""The script of one agent: tool calls of every form, each with a label of its own, order and pace drawn from the seed.

A label stands in all that a call touches (`calls/LABEL/…`) and runs (`worker.py calls/LABEL`): from it, and from nothing the
engine concludes, the truth is read (`bench.attribution.truth`).
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.standin import Script, Step, ToolCall

LABEL = re.compile(r"calls/(c[0-9a-f]{8})(?![0-9a-f])")
WORKER = Path(__file__).parent / "programs" / "worker.py"
PYTHON = "/usr/bin/python3 -ISs"
PROMPT = "Please work through the list."
SESSION_FORMS = ("session builtin", "session child", "session background")
SMALL_FORMS = (*SESSION_FORMS, "early start")
# Long enough for what a call leaves running to end within the recording.
LINGER_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One label: the form of its tool call, and how many calls share it (identical ones do)."""

    label: str
    form: str
    count: int = 1
    in_process: bool = False
    """A file tool: the agent's own process acts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one agent will be asked to do."""

    script: Script
    planned: Mapping[str, Planned]
    """By label."""
    workdir: Path

    @property
    def call_count(self) -> int:
        """Tool calls in all."""
        return sum(one.count for one in self.planned.values())


@dataclass(frozen=True, slots=True)
class _Group:
    """Tool calls of one answer."""

    calls: tuple[ToolCall, ...]
    planned: tuple[Planned, ...]
    slow: bool = False
    """The answer comes piece by piece, so that its first call can start while the others are still being written."""


class Planner:
    """Draws one agent's plan from a source of chance."""

    def __init__(self, chance: random.Random, *, workdir: Path, port: int) -> None:
        self._chance = chance
        self._workdir = workdir
        self._port = port

    def plan(self, forms: Sequence[str]) -> Plan:
        """A script with each of the named forms (again where named again); what outlives its call comes early."""
        early = [self._group(form) for form in forms if form in LASTING]
        others = [self._group(form) for form in forms if form not in LASTING]
        self._chance.shuffle(others)
        for group in early:
            others.insert(self._chance.randrange(1, max(2, len(others) // 2)), group)
        steps = [self._step(group) for group in others]
        planned = {one.label: one for group in others for one in group.planned}
        for label in planned:
            folder = self._workdir / "calls" / label
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "read.txt").write_text("read me\n" * 40)
        return Plan(script=Script(steps=(*steps, Step(text="All is done."))), planned=planned, workdir=self._workdir)

    def _group(self, form: str) -> _Group:
        return FORMS[form](self, form)

    def _step(self, group: _Group) -> Step:
        return Step(
            text=self._chance.choice(("", "Now the next one.")),
            tool_calls=group.calls,
            delay_s=self._chance.uniform(0.01, 0.25),
            delta_delay_s=0.02 if group.slow else self._chance.choice((0.0, 0.002)),
        )

    def label(self) -> str:
        """A fresh label."""
        return f"c{self._chance.getrandbits(32):08x}"

    def work(self, label: str, *, gap: float = 0.02, acts: int = 4, options: str = "") -> str:
        """The command line that runs our worker for a label."""
        seed, delay = self._chance.randrange(1 << 30), self._chance.uniform(0, 0.15)
        return (
            f"{PYTHON} {WORKER} calls/{label} --acts {acts} --seed {seed} --gap {gap} --delay {delay:.3f}"
            f" --port {self._port}{options and ' '}{options}"
        )

    def path(self, label: str, name: str) -> str:
        """An absolute path below the label's folder, as file tools want it."""
        return str(self._workdir / "calls" / label / name)


def _shell(command: str) -> ToolCall:
    return ToolCall(name="shell", arguments={"command": command})


def _one(label: str, form: str, call: ToolCall) -> _Group:
    return _Group((call,), (Planned(label=label, form=form, in_process=call.name in ("write_file", "read_file")),))


def _command(planner: Planner, form: str) -> _Group:
    label = planner.label()
    return _one(label, form, _shell(planner.work(label)))


def _builtins(planner: Planner, form: str) -> _Group:
    label = planner.label()
    at = f"calls/{label}"
    return _one(label, form, _shell(f"echo one > {at}/a; read line < {at}/a; cat {at}/a > {at}/b; rm {at}/a"))


def _pipeline(planner: Planner, form: str) -> _Group:
    label = planner.label()
    return _one(label, form, _shell(f"cat calls/{label}/read.txt | sort | tee calls/{label}/sorted.txt | wc -l"))


def _parallel(planner: Planner, form: str) -> _Group:
    labels = [planner.label() for _ in range(3)]
    calls = tuple(_shell(planner.work(label, gap=0.05)) for label in labels)
    return _Group(calls, tuple(Planned(label=label, form=form) for label in labels))


def _identical(planner: Planner, form: str) -> _Group:
    label = planner.label()
    call = _shell(planner.work(label, gap=0.05, options="--own" if form == "identical, telling" else ""))
    return _Group((call, call), (Planned(label=label, form=form, count=2),))


def _background(planner: Planner, form: str) -> _Group:
    label = planner.label()
    return _one(label, form, _shell(f"{planner.work(label, gap=0.3, acts=7)} > /dev/null 2>&1 &"))


def _nohup(planner: Planner, form: str) -> _Group:
    label = planner.label()
    return _one(label, form, _shell(f"nohup {planner.work(label, gap=0.3, acts=7)} > calls/{label}/out 2>&1 &"))


def _daemon(planner: Planner, form: str) -> _Group:
    label = planner.label()
    return _one(label, form, _shell(planner.work(label, gap=0.3, acts=7, options="--detach")))


def _write(planner: Planner, form: str) -> _Group:
    label = planner.label()
    arguments = {"path": planner.path(label, "written.txt"), "content": f"some words of {label}\n" * 20}
    return _one(label, form, ToolCall(name="write_file", arguments=arguments))


def _read(planner: Planner, form: str) -> _Group:
    label = planner.label()
    return _one(label, form, ToolCall(name="read_file", arguments={"path": planner.path(label, "read.txt")}))


def _mixed(planner: Planner, form: str) -> _Group:
    """A command and two file tools in one answer."""
    groups = [_command(planner, form), _write(planner, form), _read(planner, form)]
    planner._chance.shuffle(groups)
    return _Group(
        tuple(call for group in groups for call in group.calls), tuple(one for group in groups for one in group.planned)
    )


def _session(planner: Planner, form: str) -> _Group:
    """In the shell that stays open; two marks fence what its own process does for the call."""
    label = planner.label()
    at = f"calls/{label}"
    inner = {
        "session builtin": f"echo one > {at}/a; read line < {at}/a; printf two >> {at}/b; pushd {at}; echo x > x; popd",
        "session child": f"{planner.work(label)}; cat {at}/read.txt | sort > {at}/sorted.txt",
        "session background": f"{planner.work(label, gap=0.3, acts=7)} > /dev/null 2>&1 &",
    }[form]
    joined = f"{inner} : > {at}/end" if inner.endswith("&") else f"{inner}; : > {at}/end"
    call = ToolCall(name="bash_session", arguments={"command": f": > {at}/begin; {joined}"})
    return _one(label, form, call)


def _early(planner: Planner, form: str) -> _Group:
    """Three calls of one slow answer, to an agent that starts each as soon as it is written."""
    labels = [planner.label() for _ in range(3)]
    calls = tuple(_shell(planner.work(label, gap=0.03)) for label in labels)
    return _Group(calls, tuple(Planned(label=label, form=form) for label in labels), slow=True)


FORMS = {
    "command": _command,
    "builtins": _builtins,
    "pipeline": _pipeline,
    "parallel": _parallel,
    "identical, telling": _identical,
    "identical, mute": _identical,
    "background": _background,
    "nohup": _nohup,
    "daemon": _daemon,
    "write in process": _write,
    "read in process": _read,
    "mixed parallel": _mixed,
    **dict.fromkeys(SESSION_FORMS, _session),
    "early start": _early,
}
LASTING = ("background", "nohup", "daemon", "session background")


def forms_for(agent: str) -> Iterator[str]:
    """Every form the agent can show, once; only our own keeps a shell open and starts early."""
    for form in FORMS:
        if agent.startswith("small") or form not in SMALL_FORMS:
            yield form
