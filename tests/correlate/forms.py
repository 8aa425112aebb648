"""The hard forms, each played on a made-up machine at random moments."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from intact.model.effects import Kind
from tests.correlate.world import BASE_NS, CWD, FD_PIPE, FD_SOCKET, HOME, MODEL, MS, NOBODY, SECOND, Proc, World

TELEMETRY = ("198.51.100.4", 443)


@dataclass(slots=True)
class Play:
    """One agent at work, and the time it is."""

    world: World
    agent: Proc
    now: int
    depth: int = 1
    pending: list[int] = field(default_factory=list)
    conversation: str = "main"
    tid: int = 0
    noise: Proc | None = None
    shell: Proc | None = None
    worker: Proc | None = None
    number: int = 0

    @property
    def rng(self) -> Random:
        return self.world.rng

    def wait(self, low_ms: float, high_ms: float) -> int:
        self.now += int(self.rng.uniform(low_ms, high_ms) * MS)
        return self.now

    def fresh(self, suffix: str = "txt") -> str:
        self.number += 1
        return (
            f"{self.rng.choice(('alpha', 'beta', 'gamma', 'delta'))}_{self.number}_{self.rng.randrange(1000)}.{suffix}"
        )

    def ask(self, *wanted: tuple[str, dict[str, object]], says: str = "", early_ms: float = 0) -> list[int]:
        """One call that asks for these tools at once; the results of those before go with it."""
        start = self.wait(1, 30)
        self.plumbing(start)
        end = self.wait(40, 400)
        call = self.world.call(
            self.agent, start, end, answered=self.pending, conversation=self.conversation, depth=self.depth,
            says=says or "do it", tid=self.tid,
        )  # fmt: skip
        self.depth += bool(self.pending)
        issued, ids = end, []
        for order, (name, arguments) in enumerate(wanted):
            issued = end - int(early_ms * MS) + order * 100_000
            late = self.rng.choice((0, 0, 0, 30 * MS, 200 * MS))
            ids.append(self.world.tool(call, name, arguments, issued, order=order, late_ns=late))
        self.pending = ids
        self.now = issued + 200_000
        return ids

    def plumbing(self, at: int) -> None:
        """The way to the model, logs and state: the agent's own affair."""
        w, a, own = self.world, self.agent, self.agent.id
        if self.rng.random() < 0.5:
            w.connect(a, at - 300_000, MODEL, own, socket=5)
        w.io(a, at - 100_000, Kind.FILE_WRITE, "", own, fd_kind=FD_SOCKET, inode=5)
        w.file(a, at, Kind.FILE_OPEN, f"{HOME}/.agent/history.jsonl", own)
        w.io(a, at, Kind.FILE_WRITE, f"{HOME}/.agent/history.jsonl", own)

    def upkeep(self) -> None:
        """What the agent does for itself while a tool call is open."""
        w, a, own, at = self.world, self.agent, self.agent.id, self.now
        pick = self.rng.randrange(6)
        if pick == 0:
            w.file(a, at, Kind.FILE_OPEN, f"{CWD}/agent.log", own)
            w.io(a, at, Kind.FILE_WRITE, f"{CWD}/agent.log", own)
        elif pick == 1:
            w.connect(a, at, TELEMETRY, own, socket=9)
        elif pick == 2:
            w.file(a, at, Kind.FILE_OPEN, "/opt/agent/node_modules/yaml/index.js", own)
        elif pick == 3:
            w.io(a, at, Kind.FILE_READ, "", own, fd_kind=FD_PIPE)
            w.file(a, at, Kind.FILE_OPEN, "/proc/self/stat", own)
        elif pick == 4:
            w.file(a, at, Kind.FILE_CREATE, f"{HOME}/.cache/agent/{self.rng.randrange(99)}.tmp", own)
        if self.noise is not None and self.rng.random() < 0.7:
            noisy = self.rng.choice((["cat", f"{CWD}/README.md"], ["date"], ["sh", "-c", "ls"]))
            w.run(self.noise, at + 50_000, noisy, NOBODY, files=(f"{CWD}/noise_{self.rng.randrange(50)}.txt",))

    def finish(self) -> None:
        """The last words of a turn."""
        start = self.wait(2, 30)
        end = self.wait(40, 200)
        self.world.call(
            self.agent,
            start,
            end,
            answered=self.pending,
            conversation=self.conversation,
            depth=self.depth,
            tid=self.tid,
        )
        self.pending = []
        self.now = end


def begin(seed: int, *, startup: bool = True) -> Play:
    """An agent's start: a launcher, noise beside it, its own files, children and a kept shell."""
    world = World(rng=Random(seed))
    at = BASE_NS + 100 * MS
    top = world.process(at)
    agent = world.fork(top, at + MS, NOBODY)
    own = agent.id
    # The fork row is the top's; that its child became an agent makes it the agent's start.
    world.rows[-1].truth = own
    world.exec(agent, at + 2 * MS, ["env", "node", "/opt/agent/cli.js"], own, cwd=CWD)
    world.exec(agent, at + 3 * MS, ["/usr/bin/node", "/opt/agent/cli.js", "-p"], own)
    noise = world.fork(top, at + 4 * MS, NOBODY)
    world.exec(noise, at + 5 * MS, ["bash", "cron.sh"], NOBODY)
    world.start_files(agent, at + 5 * MS, own)
    for number in range(20):
        world.file(agent, at + (6 + number) * MS, Kind.FILE_OPEN, f"/opt/agent/lib/part{number}.js", own)
    for path in (f"{HOME}/.agent/config.json", f"{CWD}/AGENTS.md", f"{CWD}/agent.log"):
        world.file(agent, at + 30 * MS, Kind.FILE_OPEN, path, own)
    world.connect(agent, at + 40 * MS, TELEMETRY, own, socket=9)
    world.thread(agent, at + 41 * MS, own)
    play = Play(world, agent, at + 60 * MS, noise=noise)
    world.run(agent, play.wait(1, 5), ["git", "rev-parse", "--show-toplevel"], own)
    if startup:
        play.shell = world.fork(agent, play.wait(1, 5), own)
        world.exec(play.shell, play.wait(1, 3), ["bash", "--norc"], own)
        world.file(play.shell, play.now + MS, Kind.FILE_OPEN, "/etc/ld.so.cache", own)
        play.worker = world.fork(agent, play.wait(1, 5), own)
        world.exec(play.worker, play.wait(1, 3), ["/usr/bin/python3", "-m", "toolserver"], own)
        world.start_files(play.worker, play.now + MS, own)
    play.wait(200, 2500)
    world.file(agent, play.now, Kind.FILE_OPEN, f"{HOME}/.agent/config.json", own)
    return play


def wrapped(rng: Random, command: str) -> list[str]:
    """The command as one of the real agents would start it."""
    quoted = command.replace("'", "'\"'\"'")
    shopt = "shopt -u promptvars nullglob extglob nocaseglob dotglob; "
    return rng.choice(
        (
            ["/bin/sh", "-c", command],
            ["bash", "-lc", command],
            [
                "/bin/bash",
                "-c",
                "-l",
                f"source /tmp/snap.sh && eval '{quoted}' \\< /dev/null && pwd -P >| /tmp/c-1-cwd",
            ],
            ["bash", "-c", f"{shopt}{{ {command}; }}; __code=$?; pgrep -g 0 >/tmp/shell_pgrep.tmp 2>&1; exit $__code;"],
        )
    )


def command_for(play: Play) -> tuple[str, str]:
    """A command, and the file it makes."""
    name = play.fresh()
    return play.rng.choice(
        (
            f"echo hello > {name}",
            f"python3 make.py --out={name} && ls -la",
            f"cat AGENTS.md | sort > '{name}'",
            f'mkdir -p build; cp a.c "{name}"',
            f"printf 'it''s %s' x > {name}",
            f"python3 - <<'E'\nopen('{name}', 'w').write('x')\nE",
        )
    ), f"{CWD}/{name}"


def play_command(play: Play, tool: int, command: str, path: str, *, start: int, tid: int = 0) -> Proc:
    """A shell for one command with a child that does the work."""
    w, rng = play.world, play.rng
    shell = w.fork(play.agent, start, tool, tid=tid)
    w.exec(shell, start + 400_000, wrapped(rng, command), tool)
    w.start_files(shell, start + 600_000, tool)
    if "/tmp/snap" in str(w.rows[-4].values.get("argv")):
        w.file(shell, start + 700_000, Kind.FILE_OPEN, "/tmp/snap.sh", tool)
    w.run(shell, start + MS, [command.split()[0], *command.split()[1:2]], tool, files=(path,))
    w.file(shell, start + 3 * MS, Kind.FILE_CREATE, path, tool)
    w.io(shell, start + 3 * MS, Kind.FILE_WRITE, path, tool)
    w.exit(shell, start + int(rng.uniform(4, 40) * MS), tool)
    return shell


def parallel_shells(play: Play) -> None:
    """Form 1: told apart by what the children were started with."""
    count = play.rng.randrange(2, 9)
    wanted = [command_for(play) for _ in range(count)]
    if play.rng.random() < 0.3:
        wanted[1] = wanted[0]
    tools = play.ask(*(("Bash", {"command": command, "description": "x"}) for command, _ in wanted))
    first = play.now
    spread = play.rng.choice((1.0, 20.0, 400.0))
    starts = [first + int(play.rng.uniform(0, spread) * MS) for _ in tools]
    if wanted[0] == wanted[1]:
        starts[0], starts[1] = sorted(starts[:2])
    for tool, (command, path), start in zip(tools, wanted, starts, strict=True):
        play_command(play, tool, command, path, start=start)
    play.now = max(starts) + 45 * MS
    play.upkeep()


def telling_twins(play: Play) -> None:
    """Form 1: one command twice at once; only the results tell which process was whose."""
    w = play.world
    tools = play.ask(("Bash", {"command": "python3 work.py"}), ("Bash", {"command": "python3 work.py"}))
    order = list(tools)
    play.rng.shuffle(order)
    for tool in order:
        p = w.fork(play.agent, play.wait(0.1, 3), tool)
        w.exec(p, play.wait(0.1, 1), ["/bin/bash", "-c", "python3 work.py"], tool)
        w.exec(p, play.wait(0.1, 1), ["python3", "work.py"], tool)
        w.start_files(p, play.now, tool)
        folder = f"{CWD}/out/w{p.pid}"
        w.file(p, play.wait(1, 20), Kind.DIR_CREATE, folder, tool)
        w.file(p, play.wait(1, 300), Kind.FILE_CREATE, f"{folder}/x.txt", tool)
        w.exit(p, play.wait(1, 20), tool)
        w.tools[tool] = replace(w.tools[tool], result=f"made out/w{p.pid}\n[exit 0]")


def short_commands(play: Play) -> None:
    """Form 1: commands that are words of each other and of the wrappers."""
    commands = play.rng.sample(["ls", "pwd", "ls -la", "make", "make test", "exit", "true", "git status", "git"], 4)
    tools = play.ask(*(("Bash", {"command": command}) for command in commands))
    for tool, command in zip(tools, commands, strict=True):
        start = play.wait(0.5, 10)
        shell = play.world.fork(play.agent, start, tool)
        play.world.exec(shell, start + MS, wrapped(play.rng, command), tool)
        play.world.start_files(shell, start + 2 * MS, tool)
        play.world.exit(shell, start + 3 * MS, tool)


def one_command(play: Play) -> None:
    """The plain form, started at once or by an argument vector."""
    command, path = command_for(play)
    (tool,) = play.ask(("run_shell_command", {"command": command}))
    play_command(play, tool, command, path, start=play.now)
    play.wait(45, 60)
    play.upkeep()


def background_job(play: Play) -> None:
    """Form 2: what a command leaves behind stays its own, over later tool calls too."""
    name, w = play.fresh("log"), play.world
    command = f"nohup ./serve.sh > {name} 2>&1 &"
    (tool,) = play.ask(("Bash", {"command": command}))
    shell = w.fork(play.agent, play.now, tool)
    w.exec(shell, play.wait(1, 2), wrapped(play.rng, command), tool)
    job = w.fork(shell, play.wait(1, 2), tool)
    w.exec(job, play.wait(1, 2), ["/bin/sh", "./serve.sh"], tool)
    w.exit(shell, play.wait(1, 2), tool)
    inner = w.fork(job, play.wait(1, 2), tool)
    w.exit(job, play.wait(1, 2), tool)
    daemon = w.fork(inner, play.wait(1, 2), tool)
    daemon.parent = None  # its parent dies: from here ppid says 1
    w.exit(inner, play.wait(1, 2), tool)
    later = play.now
    for _ in range(6):
        later += int(play.rng.uniform(50, 3000) * MS)
        w.file(daemon, later, Kind.FILE_WRITE, f"{CWD}/{name}", tool)
        w.run(daemon, later + MS, ["sleep", "1"], tool)
    one_command(play)


def kept_shell(play: Play) -> None:
    """Form 3: a shell that was there before serves one call after the other."""
    w, shell = play.world, play.shell
    assert shell is not None
    for _ in range(3):
        name = play.fresh()
        command = play.rng.choice(
            (f"cd /work/project && sort a.txt && echo hi > {name}", f"wc -l a.txt; echo x >> {name}")
        )
        (tool,) = play.ask(("execute_bash", {"command": command}))
        program = "sort" if "sort" in command else "wc"
        w.run(shell, play.wait(1, 5), [program, *(["-l"] if program == "wc" else []), "a.txt"], tool)
        w.file(shell, play.wait(1, 5), Kind.FILE_CREATE, f"{CWD}/{name}", tool)
        w.io(shell, play.now, Kind.FILE_WRITE, f"{CWD}/{name}", tool)
        play.wait(3, 20)
        play.upkeep()


def late_shell(play: Play) -> None:
    """Form 3: the shell is started by the first tool call and serves later ones."""
    w = play.world
    name = play.fresh()
    (tool,) = play.ask(("bash", {"command": f"touch {name}"}))
    shell = w.fork(play.agent, play.now, tool)
    w.exec(shell, play.wait(1, 3), ["/bin/bash"], tool)
    w.run(shell, play.wait(5, 10), ["touch", name], tool, files=(f"{CWD}/{name}",))
    play.wait(10, 200)
    for _ in range(2):
        name = play.fresh()
        (tool,) = play.ask(("bash", {"command": f"grep -r main . > {name}"}))
        w.run(shell, play.wait(1, 10), ["grep", "-r", "main", "."], tool, files=(f"{CWD}/src/main.c",))
        w.file(shell, play.wait(1, 2), Kind.FILE_CREATE, f"{CWD}/{name}", tool)
        play.wait(2, 20)


def file_tools(play: Play) -> None:
    """Form 4: the agent's own process does it, several at once."""
    w, a = play.world, play.agent
    new, old, made = play.fresh(), play.fresh("py"), f"pkg{play.rng.randrange(99)}/deep/{play.fresh()}"
    write, edit, read, deep = play.ask(
        ("write_file", {"file_path": f"{CWD}/{new}", "content": f"see {old} and config.json"}),
        ("edit", {"path": old, "old_string": "a", "new_string": "b"}),
        ("read_file", {"absolute_path": f"{CWD}/AGENTS.md"}),
        ("create_file", {"path": made, "text": "x"}),
    )
    at = play.wait(0.2, 3)
    w.file(a, at, Kind.FILE_CREATE, f"{CWD}/{new}.tmp.4711.1", write)
    w.io(a, at + 10_000, Kind.FILE_WRITE, f"{CWD}/{new}.tmp.4711.1", write)
    w.file(a, at + 20_000, Kind.FILE_RENAME, f"{CWD}/{new}", write, old=f"{CWD}/{new}.tmp.4711.1")
    at = play.wait(0.2, 3)
    w.file(a, at, Kind.FILE_OPEN, f"{CWD}/{old}", edit)
    w.io(a, at, Kind.FILE_READ, f"{CWD}/{old}", edit)
    w.io(a, at, Kind.FILE_WRITE, f"{CWD}/{old}", edit)
    at = play.wait(0.2, 3)
    w.file(a, at, Kind.FILE_OPEN, f"{CWD}/AGENTS.md", read)
    at = play.wait(0.2, 3)
    parts = made.split("/")
    w.file(a, at, Kind.DIR_CREATE, f"{CWD}/{parts[0]}", deep)
    w.file(a, at + 1000, Kind.DIR_CREATE, f"{CWD}/{parts[0]}/deep", deep)
    w.file(a, at + 2000, Kind.FILE_CREATE, f"{CWD}/{made}", deep)
    play.wait(1, 5)
    play.upkeep()
    w.file(a, play.wait(1, 3), Kind.FILE_OPEN, f"{CWD}/agent.log", a.id)


def search_tool(play: Play) -> None:
    """Form 4: a tool that names no file reads many."""
    w, a = play.world, play.agent
    (tool,) = play.ask(("search_text", {"pattern": "needle"}))
    for number in range(20):
        w.file(a, play.now + number * 100_000, Kind.FILE_OPEN, f"{CWD}/src/unit{number}.c", tool)
    play.wait(3, 9)
    play.upkeep()


def pool_worker(play: Play) -> None:
    """Form 5: the process was there before the call."""
    w, worker = play.world, play.worker
    assert worker is not None
    one, two = play.fresh("csv"), play.fresh("csv")
    tools = play.ask(("convert", {"path": one}), ("convert", {"path": two}))
    for tool, name in zip(tools, (one, two), strict=True):
        w.file(worker, play.wait(0.3, 4), Kind.FILE_OPEN, f"{CWD}/{name}", tool)
        w.file(worker, play.wait(0.3, 4), Kind.FILE_CREATE, f"{CWD}/{name}.tmp1", tool)
        w.file(worker, play.wait(0.3, 4), Kind.FILE_RENAME, f"{CWD}/{name}", tool, old=f"{CWD}/{name}.tmp1")
    play.wait(1, 4)


def sub_agent(play: Play) -> None:
    """Form 6: another agent as a child; its own tool calls win."""
    w = play.world
    (tool,) = play.ask(("Bash", {"command": "helper-agent --task 'sort the list'"}))
    inner = w.fork(play.agent, play.now, tool)
    w.exec(inner, play.wait(1, 2), ["/bin/sh", "-c", "helper-agent --task 'sort the list'"], tool)
    w.exec(inner, play.wait(1, 2), ["/usr/bin/python3", "/usr/bin/helper-agent", "--task", "sort the list"], tool)
    w.start_files(inner, play.wait(1, 20), tool)
    sub = Play(w, inner, play.wait(5, 600), conversation="inner")
    name = play.fresh()
    start, end = sub.wait(1, 5), sub.wait(40, 100)
    call = w.call(inner, start, end, conversation="inner")
    own = w.tool(call, "shell", {"command": ["bash", "-lc", f"sort list > {name}"]}, end)
    own_file = w.tool(call, "write_file", {"path": "sub_note.txt", "content": "x"}, end + 10_000, order=1)
    shell = w.fork(inner, sub.wait(1, 3), own)
    w.exec(shell, sub.wait(1, 2), ["bash", "-lc", f"sort list > {name}"], own)
    w.file(shell, sub.wait(1, 2), Kind.FILE_CREATE, f"{CWD}/{name}", own)
    w.exit(shell, sub.wait(1, 2), own)
    w.file(inner, sub.wait(1, 2), Kind.FILE_CREATE, f"{CWD}/sub_note.txt", own_file)
    w.call(inner, sub.wait(5, 9), sub.wait(20, 60), answered=(own, own_file), conversation="inner", depth=2)
    w.exit(inner, sub.wait(5, 9), tool)
    play.now = sub.now + 3 * MS


def two_conversations(play: Play) -> None:
    """Form 8: two threads of one process talk to the model at once."""
    w, a = play.world, play.agent
    jobs = []
    at = play.now
    for number, tid in enumerate((a.pid + 1000, a.pid + 2000)):
        start = at + int(play.rng.uniform(0, 40) * MS)
        end = start + int(play.rng.uniform(30, 60) * MS)
        call = w.call(a, start, end, conversation=f"talk {number}", tid=tid, says="work")
        name = play.fresh()
        tool = w.tool(call, "make_note", {"title": f"note{number}"}, end)
        w.file(a, end + 5 * MS, Kind.FILE_CREATE, f"{CWD}/{name}", tool, tid=tid)
        shell = w.fork(a, end + 6 * MS, tool, tid=tid)
        w.exec(shell, end + 7 * MS, ["indexer", name], tool)
        w.start_files(shell, end + 8 * MS, tool)
        w.exit(shell, end + 9 * MS, tool)
        jobs.append((tool, tid, end + int(play.rng.uniform(60, 90) * MS)))
    for number, (tool, tid, start) in enumerate(jobs):
        w.call(
            a, start, start + 30 * MS, answered=(tool,), conversation=f"talk {number}", tid=tid, says="work", depth=2
        )
    play.now = max(start for _, _, start in jobs) + 40 * MS


def early_start(play: Play) -> None:
    """Form 9: the child runs before the reply has ended and before anyone is told of the call."""
    command, path = command_for(play)
    (tool,) = play.ask(("Bash", {"command": command}))
    fact = play.world.tools[tool]
    play.world.facts = [(at, f) for at, f in play.world.facts if f is not fact]
    play.world.tell(fact.issued_ns + play.rng.choice((100, 600)) * MS, fact)
    play_command(play, tool, command, path, start=fact.issued_ns - int(play.rng.uniform(0, 30) * MS))
    play.wait(700, 900)


def same_path(play: Play) -> None:
    """Form 10: a file that the agent reads for itself and a tool call names."""
    w, a = play.world, play.agent
    w.file(a, play.wait(1, 3), Kind.FILE_OPEN, f"{HOME}/.agent/config.json", a.id)
    (tool,) = play.ask(("Read", {"file_path": f"{CWD}/AGENTS.md"}))
    w.file(a, play.wait(1, 3), Kind.FILE_OPEN, f"{CWD}/AGENTS.md", tool)
    play.wait(1, 5)


def reused_pid(play: Play) -> None:
    """Form 11: the pid of a finished command is given to noise, and an exec chain, and threads."""
    w = play.world
    command, path = command_for(play)
    (tool,) = play.ask(("Bash", {"command": command}))
    first = play_command(play, tool, command, path, start=play.now)
    play.wait(50, 60)
    assert play.noise is not None
    other = w.fork(play.noise, play.now, NOBODY, pid=first.pid)
    w.exec(other, play.wait(1, 2), ["rsync", "-a", "x", "y"], NOBODY)
    w.file(other, play.wait(1, 2), Kind.FILE_CREATE, f"{CWD}/synced.txt", NOBODY)
    second, place = command_for(play)
    (tool,) = play.ask(("Bash", {"command": second}))
    chain = w.fork(play.agent, play.now, tool)
    w.exec(chain, play.wait(0.1, 1), ["nice", "bash", "-c", second], tool)
    w.exec(chain, play.wait(0.1, 1), ["bash", "-c", second], tool)
    w.exec(chain, play.wait(0.1, 1), ["/usr/bin/python3", "worker.py"], tool)
    w.thread(chain, play.wait(0.1, 1), tool)
    w.file(chain, play.wait(0.1, 1), Kind.FILE_CREATE, place, tool, tid=chain.pid + 7)
    w.exit(chain, play.wait(1, 2), tool)


def fetch_tool(play: Play) -> None:
    """A page is fetched by the agent itself, another by a child."""
    w, a = play.world, play.agent
    own, child = play.ask(
        ("web_fetch", {"url": "http://127.0.0.1:8931/page.html", "prompt": "what"}),
        ("Bash", {"command": "curl -s http://127.0.0.1:8932/other > o.html"}),
    )
    w.connect(a, play.wait(1, 3), ("127.0.0.1", 8931), own, socket=31)
    w.io(a, play.wait(1, 3), Kind.FILE_READ, "", own, fd_kind=FD_SOCKET, inode=31)
    p = w.fork(a, play.wait(1, 3), child)
    w.exec(p, play.wait(1, 2), ["/bin/sh", "-c", "curl -s http://127.0.0.1:8932/other > o.html"], child)
    w.connect(p, play.wait(1, 2), ("127.0.0.1", 8932), child)
    w.exit(p, play.wait(1, 2), child)
    play.upkeep()


def wordless_tool(play: Play) -> None:
    """A tool without arguments that runs several programs and writes a file."""
    w, a = play.world, play.agent
    (tool,) = play.ask(("run_tests", {}))
    w.run(a, play.wait(1, 4), ["pytest", "-q"], tool, files=(f"{CWD}/report.xml",))
    w.run(a, play.wait(1, 4), ["coverage", "html"], tool)
    w.file(a, play.wait(1, 4), Kind.FILE_CREATE, f"{CWD}/summary_{play.rng.randrange(9999)}.md", tool)
    play.wait(1, 4)


def script_file(play: Play) -> None:
    """The command goes into a file, and only its programs can be told."""
    w = play.world
    (tool, other) = play.ask(
        ("Bash", {"command": "tar czf out.tgz src\nsha256sum out.tgz"}),
        ("Bash", {"command": "du -sh . | tee size.txt"}),
    )
    for cause, argv, name in (
        (tool, ["tar", "czf", "out.tgz", "src"], "out.tgz"),
        (other, ["du", "-sh", "."], "size.txt"),
    ):
        shell = w.fork(play.agent, play.wait(0.5, 2), cause)
        w.exec(shell, play.wait(0.5, 2), ["bash", f"/tmp/run-{play.rng.randrange(999)}.sh"], cause)
        w.run(shell, play.wait(0.5, 2), argv, cause, files=(f"{CWD}/{name}",))
        w.exit(shell, play.wait(3, 9), cause)


def open_ended(play: Play) -> None:
    """A tool call that is never answered: the user broke it off and went on."""
    command, path = command_for(play)
    (tool,) = play.ask(("Bash", {"command": command}))
    play_command(play, tool, command, path, start=play.now)
    play.wait(60, 300)
    play.pending = []
    one_command(play)


def own_child(play: Play) -> None:
    """The agent looks at its repository, as at its start, while a command runs."""
    command, path = command_for(play)
    (tool,) = play.ask(("Bash", {"command": command}))
    play_command(play, tool, command, path, start=play.now)
    play.world.run(play.agent, play.wait(1, 8), ["git", "rev-parse", "--show-toplevel"], play.agent.id)
    play.wait(45, 60)


def stdin_shells(play: Play) -> None:
    """Each command is fed to a shell of its own; only the programs it starts can be told."""
    w = play.world
    one, two = play.fresh(), play.fresh()
    tools = play.ask(
        ("run", {"script": f"sort -u in.txt > {one}\necho done"}),
        ("run", {"script": f"cut -f2 table.tsv > {two}\ntrue"}),
    )
    programs = ((["sort", "-u", "in.txt"], one), (["cut", "-f2", "table.tsv"], two))
    for tool, (argv, name) in zip(tools, programs, strict=True):
        shell = w.fork(play.agent, play.wait(0.2, 3), tool)
        w.exec(shell, play.wait(0.2, 1), ["bash", "-s"], tool)
        w.start_files(shell, play.now + 1000, tool)
        w.run(shell, play.wait(1, 3), argv, tool, files=(f"{CWD}/{name}",))
        w.exit(shell, play.wait(5, 9), tool)


def inner_task(play: Play) -> None:
    """Form 6: a sub-agent in the agent's own process: its calls lie within the outer tool call."""
    w, a = play.world, play.agent
    (outer,) = play.ask(("Task", {"description": "look", "prompt": "Look for every caller of main, please."}))
    start, end = play.wait(1, 5), play.wait(40, 90)
    says = "Look for every caller of main, please."
    call = w.call(a, start, end, conversation="", says=says)
    inner = w.tool(call, "Grep", {"pattern": "main"}, end)
    for number in range(5):
        w.file(a, end + (2 + number) * MS, Kind.FILE_OPEN, f"{CWD}/lib/{number}.c", inner)
    w.call(a, end + 20 * MS, end + 60 * MS, answered=(inner,), says=says, depth=2)
    play.pending = [outer]
    play.now = end + 70 * MS


def server_tool(play: Play) -> None:
    """A server the agent keeps answers one tool call; its own files are not the tool call's."""
    w, server = play.world, play.worker
    assert server is not None
    (tool,) = play.ask(("mcp__notes__add", {"title": "Shopping list", "body": "eggs"}))
    w.file(server, play.wait(1, 3), Kind.FILE_CREATE, f"{CWD}/notes/shopping-list.md", tool)
    w.file(server, play.now + MS, Kind.FILE_OPEN, "/usr/lib/python3/json/encoder.py", play.agent.id)
    play.wait(3, 9)


def idle_thought(play: Play) -> None:
    """A tool that touches nothing, asked for beside one that reads."""
    w, a = play.world, play.agent
    _, tool = play.ask(("TodoWrite", {"todos": ["a", "b"]}), ("count_lines", {"language": "python"}))
    for number in range(5):
        w.file(a, play.now + number * MS, Kind.FILE_OPEN, f"{CWD}/py/{number}.src", tool)
    play.wait(6, 9)


FORMS: tuple[Callable[[Play], None], ...] = (
    parallel_shells,
    telling_twins,
    short_commands,
    stdin_shells,
    one_command,
    background_job,
    kept_shell,
    late_shell,
    file_tools,
    search_tool,
    pool_worker,
    server_tool,
    idle_thought,
    sub_agent,
    inner_task,
    two_conversations,
    early_start,
    same_path,
    reused_pid,
    fetch_tool,
    wordless_tool,
    script_file,
    open_ended,
    own_child,
)


def play_forms(seed: int, *forms: Callable[[Play], None]) -> World:
    """A session of those forms, one after the other."""
    play = begin(seed)
    for form in forms:
        form(play)
        if play.rng.random() < 0.3:
            play.finish()
            play.wait(100, 3000)
    play.finish()
    return play.world


def long_after(world: World) -> int:
    """A time when nothing can come any more."""
    return world.span()[1] + 10 * SECOND
