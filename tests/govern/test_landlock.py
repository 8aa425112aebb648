"""Allow-lists: what is on them works, all else is refused with EACCES; and what cannot be asked of them."""

import errno
import json
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from intact.govern import landlock
from intact.govern.landlock import Allowed, file_rights, fill, gaps, make_rulesets, restrict
from intact.govern.plan import CGROUP, LANDLOCK, LANDLOCK_TCP, NONE, allowed, make_plan
from intact.govern.policy import Policy, PolicyError, parse_policy
from intact.govern.selftest import PASSED, prove_landlock
from intact.model.errors import NotSupported, UsageError
from tests.e2e.recorded import ENVIRONMENT, INTACT, intact, kernel_test, record, show
from tests.govern.governed import governed

LIST = "allow: {files: [{path: /srv, access: [read, write]}], connect: [443, 8000-8002], bind: []}"


def version() -> int:
    try:
        return landlock.version()
    except NotSupported:
        return 0


here = pytest.mark.skipif(version() < landlock.TCP_SINCE, reason="this kernel has no Landlock that knows ports")


def policy_of(*rules: str, name: str = "t") -> Policy:
    lines = "".join(f"  - {{{rule}}}\n" for rule in rules)
    return parse_policy(f"name: {name}\nrules:\n{lines}".encode())


def in_child(held: Allowed, tries: Callable[[], list[int]]) -> list[int]:
    """What a child with the list tells; the list is filled by us after the fork, as `record` does."""
    rulesets = make_rulesets()
    (out, into), (gate, release) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.read(gate, 1)
            restrict(rulesets[held.kinds])
            os.write(into, struct.pack("=16q", *(tries() + [-1] * 16)[:16]))
        finally:
            os._exit(0)
    fill(rulesets[held.kinds], held)
    for descriptor in (into, gate, *rulesets.values()):
        os.close(descriptor)
    os.write(release, b"x")
    os.close(release)
    data = os.read(out, 128)
    os.close(out)
    os.waitpid(pid, 0)
    return [number for number in struct.unpack("=16q", data) if number >= 0]


def attempt(call: Callable[..., object], *arguments: object) -> int:
    try:
        call(*arguments)
    except OSError as error:
        return error.errno or 0
    return 0


def opened(path: Path, how: int = os.O_RDONLY) -> int:
    return attempt(lambda: os.close(os.open(path, how, 0o600)))


@here
def test_files_are_read_and_written_where_the_list_says_so(tmp_path: Path) -> None:
    read, write, other = (tmp_path / name for name in ("read", "write", "other"))
    for directory in (read, write, other):
        directory.mkdir()
        (directory / "file").write_text("x")
    (write / "link").symlink_to(other / "file")

    def tries() -> list[int]:
        told = [opened(read / "file"), opened(read / "file", os.O_WRONLY), opened(read / "new", os.O_CREAT)]
        told += [opened(write / "file", os.O_WRONLY), opened(write / "new", os.O_CREAT | os.O_WRONLY)]
        told += [attempt(os.listdir, read), attempt(os.listdir, other), attempt(os.unlink, read / "file")]
        told += [opened(other / "file"), opened(write / "link", os.O_WRONLY), attempt(os.truncate, other / "file", 0)]
        return [*told, attempt(os.rename, write / "file", other / "moved"), attempt(os.unlink, write / "new")]

    held = Allowed(files=((str(read), ("read",)), (str(write), ("write",)), (str(tmp_path / "none"), ("read",))))
    no = errno.EACCES
    told = in_child(held, tries)
    assert told[:11] == [0, no, no, 0, 0, 0, no, no, no, no, no]
    assert told[11] in (no, errno.EXDEV)
    assert told[12] == 0


@here
def test_a_program_runs_only_where_that_is_listed(tmp_path: Path) -> None:
    def ran(program: str) -> int:
        pid = os.fork()
        if pid == 0:
            os._exit(attempt(os.execv, program, [program]))
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    (copy := tmp_path / "true").write_bytes(Path(os.path.realpath("/bin/true")).read_bytes())
    copy.chmod(0o755)
    held = Allowed(files=(("/usr", ("execute",)), ("/lib", ("execute",)), (str(tmp_path), ("read", "write"))))
    assert in_child(held, lambda: [ran("/bin/true"), ran(str(copy))]) == [0, errno.EACCES]


@here
def test_ports_are_those_listed_and_files_are_not_held_then(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listed, socket.create_server(("127.0.0.1", 0)) as other:
        places = [each.getsockname() for each in (listed, other)]

        def tries() -> list[int]:
            told = [attempt(socket.socket().connect, place) for place in places]
            return [*told, attempt(socket.socket().bind, ("127.0.0.1", 0)), opened(tmp_path / "new", os.O_CREAT)]

        told = in_child(Allowed(connect=(places[0][1],), bind=()), tries)
    assert told == [0, errno.EACCES, errno.EACCES, 0]


@here
def test_who_is_held_holds_what_it_makes_and_cannot_undo_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    def tries() -> list[int]:
        again = make_rulesets()[landlock.FILES]
        fill(again, Allowed(files=(("/", ("read",)),)))
        restrict(again)
        pid = os.fork()
        if pid == 0:
            os._exit(opened(tmp_path / "file"))
        return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]

    assert in_child(Allowed(files=(("/usr", ("read",)),)), tries) == [errno.EACCES]


@here
def test_no_race_over_a_path_gets_through(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for directory in (inside, outside):
        directory.mkdir()
        (directory / "file").write_text(directory.name)

    def got(worker: int) -> int:
        way, found = inside / f"way{worker}", 0
        for turn in range(125):
            way.symlink_to((outside if turn % 2 else inside) / "file")
            os.rename(way, inside / "way")
            try:
                found += (inside / "way").read_text() == "out"
            except PermissionError:
                continue
        return found

    def tries() -> list[int]:
        workers = []
        for worker in range(8):
            pid = os.fork()
            if pid == 0:
                os._exit(min(got(worker), 100))
            workers.append(pid)
        return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers]

    assert in_child(Allowed(files=((str(inside), ("read", "write")),)), tries) == [0] * 8


@here
@pytest.mark.skipif(os.geteuid() != 0, reason="a setuid file of another user is made by root")
def test_a_setuid_program_gives_nothing(tmp_path: Path) -> None:
    (program := tmp_path / "id").write_bytes(Path("/usr/bin/id").read_bytes())
    os.chown(program, 65534, 65534)
    program.chmod(0o4755)

    def tries() -> list[int]:
        return [int(subprocess.run([program, "-u"], capture_output=True, check=True).stdout)]

    held = Allowed(files=(("/", ("read", "write", "execute")),))
    assert subprocess.run([program, "-u"], capture_output=True, check=True).stdout == b"65534\n"
    assert in_child(held, tries) == [os.getuid()]


@here
def test_the_self_test_passes_here_and_says_what_went_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    assert prove_landlock(ports=True) == prove_landlock(ports=False) == PASSED
    monkeypatch.setattr("intact.govern.selftest.restrict", lambda _ruleset: None)
    assert "another file: expected EACCES, got done" in prove_landlock(ports=False)
    monkeypatch.setattr("intact.govern.selftest.make_rulesets", lambda: {})
    assert prove_landlock(ports=True) == "the kernel does not take a list"


def test_an_older_kernel_holds_less_and_says_what() -> None:
    assert [len(gaps(known)) for known in (1, 2, 3, 4, 5, 7)] == [3, 2, 1, 1, 0, 0]
    assert [file_rights(known).bit_length() for known in (1, 2, 3, 4, 5, 7)] == [13, 14, 15, 15, 16, 16]


def test_a_list_survives_the_way_to_the_front() -> None:
    for held in (Allowed(files=(("/a", ("read", "write")),), connect=(1, 2)), Allowed(bind=())):
        assert Allowed.from_json(json.loads(json.dumps(held.as_json()))) == held


def test_a_list_is_planned_for_landlock_and_ports_beside_it_by_address() -> None:
    plan = make_plan([policy_of(f"id: a, action: deny, {LIST}")], {})
    assert [(part.mechanism, part.access, part.promise) for part in plan.parts] == [
        (LANDLOCK, ("files",), "prevented"),
        (LANDLOCK, ("connect", "bind"), "prevented"),
        (CGROUP, (), "prevented"),
        (CGROUP, (), "prevented"),
    ]
    files = (("/srv", ("read", "write")),)
    assert allowed(plan) == Allowed(files=files, connect=(443, 8000, 8001, 8002), bind=())
    assert allowed(make_plan([], {})) is None


def test_what_landlock_cannot_hold_is_not_promised() -> None:
    policy = policy_of(f"id: a, action: deny, {LIST}")
    plan = make_plan([policy], {LANDLOCK_TCP: "too old"})
    assert [(part.mechanism, part.note) for part in plan.parts[1:]] == [(NONE, "too old")]
    assert allowed(plan) == Allowed(files=(("/srv", ("read", "write")),))
    plan = make_plan([policy], {LANDLOCK: "not here"})
    assert {(part.mechanism, part.promise, part.note) for part in plan.parts} == {(NONE, "not_enforced", "not here")}
    assert allowed(plan) is None


def test_a_tree_has_one_list() -> None:
    one, two = (policy_of(f"id: {name}, action: deny, {LIST}", name=name) for name in "ab")
    with pytest.raises(UsageError, match="rule b of policy b is a second allow-list for this tree, beside rule a"):
        make_plan([one, two], {})
    apart = policy_of(*(f"id: {name}, tree: {name}, action: deny, {LIST}" for name in "ab"))
    assert [part.mechanism for part in make_plan([apart], {}, program="/usr/bin/a").parts].count(LANDLOCK) == 2


WRONG = {
    "action: audit, allow: {bind: []}": ("an allow-list cannot audit", "action: deny"),
    "action: kill, allow: {bind: []}": ("an allow-list cannot kill", "action: deny"),
    "action: deny, agent: claude, allow: {bind: []}": ("can no longer be put on", "use tree"),
    "action: deny, allow: {bind: []}, except: [{port: 1}]": ("without exceptions", "add it to the list"),
    "action: deny, allow: {}": ("lists nothing", "name files, connect or bind"),
    "action: deny, allow: {files: []}": ("at least 1", ""),
    "action: deny, allow: {connect: 1-65535}": ("more than 4096 ports", "connect or bind rule"),
    "action: deny, allow: {files: [{path: srv, access: read}]}": ("not absolute", "whole path"),
    "action: deny, allow: {files: [{path: '/srv/*.py', access: read}]}": ("no wildcards", "directory"),
    "action: deny, allow: {files: [{path: /srv, access: delete}]}": ("not a value", "'read', 'write' or 'execute'"),
    "action: deny, allow: {file: []}": ("unknown key 'file'", "files, connect, bind"),
    "action: deny, bind: {}, allow: {bind: []}": ("only one", ""),
    "action: deny, tree: '{0}', allow: {bind: []}, connect: {address: '{told}'}": ("", ""),
}


@pytest.mark.parametrize("rule", WRONG)
def test_what_cannot_be_asked_of_a_list_has_its_line_and_a_remedy(rule: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy_of("id: first, action: deny, connect: {}", f"id: a, {rule}")
    problem = caught.value.problems[0]
    message, remedy = WRONG[rule]
    assert problem.line == 4
    assert message in problem.message
    assert remedy in problem.remedy
    assert "\n" not in str(problem)


def test_a_second_list_has_its_line() -> None:
    with pytest.raises(PolicyError) as caught:
        policy_of(f"id: a, action: deny, {LIST}", "id: n, action: deny, bind: {}", f"id: b, action: deny, {LIST}")
    assert str(caught.value.problems[0]).startswith("line 5: ")


@pytest.mark.kernel
def test_a_tree_that_runs_already_is_told_to_be_out_of_reach() -> None:
    with governed({"id": "a", "allow": {"files": [{"path": "/usr", "access": "read"}], "connect": [443]}}) as tree:
        status = tree.governor.status()[0]
        assert (status.effective, {part.mechanism for part in status.parts}) == ("not_enforced", {"none"})
        assert {part.note for part in status.parts} == {"Landlock holds only what Intact launches"}
        assert tree.run("print(json.dumps(attempt(read, '/etc/passwd')))") == "done"


@here
@pytest.mark.kernel
def test_a_list_stays_as_it_was_at_the_start(tmp_path: Path) -> None:
    def rule(path: Path) -> dict[str, object]:
        return {"id": "a", "allow": {"files": [{"path": str(path), "access": "read"}]}}

    with governed(rule(tmp_path / "none"), program="/bin/true") as tree:
        assert tree.governor.allowed() == Allowed(files=((str(tmp_path / "none"), ("read",)),))
        part = tree.governor.status()[0].parts[0]
        assert (part.mechanism, part.effective, part.self_test) == ("landlock", "prevented", "passed")
        assert f"not there at the start: {tmp_path}/none" in part.note
        assert "a refusal is not counted" in part.note
        other = Policy.model_validate({"name": "test", "rules": [{"action": "deny", **rule(tmp_path)}]})
        tree.governor.apply([other])
        part = tree.governor.status()[0].parts[0]
        assert part.effective == "not_enforced"
        assert "stays for the whole run" in part.note


RECORDED = """
import os, socket, sys
def attempt(call, *arguments):
    try: call(*arguments)
    except OSError as error: return error.errno
    return 0
place = ("127.0.0.1", int(sys.argv[2]))
print(attempt(open, sys.argv[1] + "/in/new", "w"), attempt(open, sys.argv[1] + "/secret"), attempt(os.listdir, "/home"),
      attempt(socket.socket().connect, place), attempt(socket.socket().sendto, b"x", 0x20000000, place),
      os.system("cat %s/secret" % sys.argv[1]) >> 8, flush=True)
"""


@here
@kernel_test
def test_a_recorded_command_reaches_what_is_listed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "script.py").write_text(RECORDED)
    policy = tmp_path / "p.yaml"
    policy.write_text(
        "name: p\nrules:\n"
        "  - id: list\n    action: deny\n    fail: closed\n    allow:\n      connect: [443]\n      files:\n"
        "        - {path: [/usr, /lib, /lib64, /bin, /etc], access: [read, execute]}\n"
        f"        - {{path: {tmp_path}/script.py, access: read}}\n"
        f"        - {{path: [{tmp_path}/in, /dev/null], access: [read, write]}}\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        command = ("/usr/bin/python3", str(tmp_path / "script.py"), str(tmp_path), port)
        ended = record(tmp_path / "data", *command, options=("--policy", str(policy)))
    assert ended.stdout.split() == [b"0", b"13", b"13", b"13", b"1", b"1"], ended.stderr
    blocked = [each["detail"] for each in show(tmp_path / "data")["effects"] if each["kind"] == "blocked"]
    assert [(each["rule_id"], each["mechanism"], each["outcome"]) for each in blocked] == [
        ("list", "cgroup", "prevented")
    ]


@here
@kernel_test
def test_a_command_that_the_list_does_not_let_run_is_told_so(tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text("name: p\nrules:\n  - {id: a, action: deny, allow: {files: [{path: /etc, access: read}]}}\n")
    ended = record(tmp_path / "data", "/bin/true", options=("--policy", str(policy)))
    assert ended.returncode == 126
    assert b"the allow-list has to let it and its loader be executed" in ended.stderr


@here
@kernel_test
def test_a_list_asked_for_while_the_command_runs_is_not_in_effect(tmp_path: Path) -> None:
    policy, data = tmp_path / "p.yaml", tmp_path / "data"
    policy.write_text(
        "name: p\nrules:\n  - {id: a, action: deny, allow: {bind: []}}\n"
        "  - {id: b, action: deny, credential: {change: uid}}\n"
    )
    assert intact("policy", "apply", str(policy), "--data", str(data)).returncode == 0
    assert intact("policy", "remove", "p", "--data", str(data)).returncode == 0
    command = [INTACT, "record", "--data", str(data), "--", "sh", "-c", "echo; read x"]
    with subprocess.Popen(command, env=dict(ENVIRONMENT), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        assert intact("policy", "apply", str(policy), "--data", str(data)).returncode == 0
        found: list[dict[str, Any]] = []
        end = time.monotonic() + 10
        while not found and time.monotonic() < end:
            time.sleep(0.5)
            found = json.loads(intact("policy", "status", "--json", "--data", str(data)).stdout)["effective"]
        running.communicate(b"\n", timeout=30)
    notes = {rule["rule_id"]: (rule["effective"], rule["parts"][0]["note"]) for rule in found}
    assert notes["a"] == ("not_enforced", "Landlock holds only what Intact launches")
    assert notes["b"][0] == "not_enforced"
    assert "before the command starts" in notes["b"][1]
