"""Exec and open by path: the inode and its directory are held, whatever name leads to them."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.govern.governed import copy_of, governed

pytestmark = pytest.mark.kernel


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a secret, something free, and two programs."""
    (tmp_path / "below" / "deep").mkdir(parents=True)
    for name in ("secret", "free", "below/one", "below/deep/two"):
        (tmp_path / name).write_text("x\n")
    for name in ("held", "other"):
        copy_of("/bin/true", tmp_path / name)
    return tmp_path


OPENS = """
d = sys.argv[1]
os.link(d + "/secret", d + "/hard")
os.symlink(d + "/secret", d + "/soft")
os.symlink(d, d + "/loop")
def path_then_reopen():
    f = os.open(d + "/secret", os.O_PATH)
    os.close(os.open("/proc/self/fd/%d" % f, os.O_RDONLY))
def moved():
    os.rename(d + "/secret", d + "/below/moved")
    read(d + "/below/moved")
def relative():
    os.chdir(d + "/below")
    read("../secret")
def at():
    f = os.open(d, os.O_RDONLY)
    os.close(os.open("secret", os.O_RDONLY, dir_fd=f))
print(json.dumps({
    "path": attempt(read, d + "/secret"),
    "write": attempt(write, d + "/secret"),
    "hard link": attempt(read, d + "/hard"),
    "symlink": attempt(read, d + "/soft"),
    "symlinked directory": attempt(read, d + "/loop/loop/secret"),
    "relative": attempt(relative),
    "at": attempt(at),
    "reopened": attempt(path_then_reopen),
    "truncated": attempt(lambda: os.truncate(d + "/secret", 0)),
    "moved": attempt(moved),
    "free": attempt(read, d + "/free"),
    "listed": attempt(os.listdir, d),
}))
"""


def test_no_name_of_a_held_file_opens_it(place: Path) -> None:
    with governed({"id": "open", "file": {"path": str(place / "secret")}}) as tree:
        told = tree.run(OPENS, str(place))
        assert tree.effective("open") == "prevented"
        hits = tree.hits()
    let = {"free", "listed", "truncated"}
    assert {way for way, went in told.items() if went == "done"} == let, told
    assert {went for way, went in told.items() if way not in let} == {"EPERM"}
    assert {(hit.target, hit.outcome, hit.result) for hit in hits} == {("open", "prevented", -1)}
    assert all(hit.process_id for hit in hits)


def test_a_thousand_opens_in_a_race_none_succeed(place: Path) -> None:
    # Names change hands meanwhile: a symlink is turned to and fro, hard links come and go.
    source = """
d = sys.argv[1]
def tries(n, i):
    if n == 0:
        os.symlink(d + ("/free", "/secret")[i % 2], d + "/turn"); os.rename(d + "/turn", d + "/turned")
        return "turned"
    name = d + ("/secret", "/hard%d" % n, "/turned")[i % 3]
    if i % 3 == 1:
        try: os.link(d + "/secret", name)
        except OSError: pass
    try:
        f = os.open(name, os.O_RDONLY)
    except FileNotFoundError:
        return "absent"
    except PermissionError:
        return "EPERM"
    same = os.fstat(f).st_ino == secret
    os.close(f)
    return "done" if same else "free"
secret = os.stat(d + "/secret").st_ino
print(race(tries, 9))
"""
    with governed({"id": "open", "file": {"path": str(place / "secret")}}) as tree:
        assert tree.run(source, str(place)) == 0
        tree.governor.finish()
        assert tree.count("open") > 600


def test_plain_opens_by_eight_at_once(place: Path) -> None:
    source = "print(race(lambda n, i: attempt(read, sys.argv[1])))"
    with governed({"id": "open", "file": {"path": str(place / "secret")}}) as tree:
        assert tree.run(source, str(place / "secret")) == 0
        assert len(tree.hits() + tree.governor.finish()) == tree.count("open") == 1000


def test_others_open_it_meanwhile(place: Path) -> None:
    source = "race(lambda n, i: attempt(read, sys.argv[1]), 4, 500)\nprint(1)"
    with governed({"id": "open", "file": {"path": str(place / "secret")}}) as tree:
        child = tree.start(source, str(place / "secret"))
        longest = 0.0
        while child.poll() is None:
            began = time.monotonic()
            (place / "secret").read_text()
            longest = max(longest, time.monotonic() - began)
            tree.governor.hits()
        child.communicate()
        assert longest < 0.5
        assert {hit.pid for hit in tree.hits()}.isdisjoint({os.getpid()})


def test_reading_and_writing_are_told_apart(place: Path) -> None:
    source = """
d = sys.argv[1]
print(json.dumps([attempt(read, d), attempt(write, d), attempt(lambda: os.close(os.open(d, os.O_RDWR))),
                  attempt(lambda: os.close(os.open(d, os.O_RDONLY | os.O_TRUNC)))]))
"""
    with governed({"id": "open", "file": {"path": str(place / "secret"), "access": "write"}}) as tree:
        assert tree.run(source, str(place / "secret")) == ["done", "EPERM", "EPERM", "EPERM"]
    with governed({"id": "open", "file": {"path": str(place / "secret"), "access": "read"}}) as tree:
        assert tree.run(source, str(place / "secret")) == ["EPERM", "done", "EPERM", "EPERM"]


def test_a_tree_of_directories_is_held_and_what_is_new_in_it(place: Path) -> None:
    source = """
d = sys.argv[1]
import time
os.mkdir(d + "/below/new")
time.sleep(0.2)
print(json.dumps([
    attempt(read, d + "/below/one"),
    attempt(read, d + "/below/deep/two"),
    attempt(lambda: os.close(os.open(d + "/below/three", os.O_CREAT | os.O_WRONLY))),
    attempt(lambda: os.close(os.open(d + "/below/new/four", os.O_CREAT | os.O_WRONLY))),
    attempt(lambda: (os.link(d + "/below/one", d + "/out"), read(d + "/out"))),
    attempt(lambda: (os.rename(d + "/below/deep", d + "/deep"), read(d + "/deep/two"))),
    attempt(read, d + "/free"),
]))
"""
    with governed({"id": "open", "file": {"path": f"{place}/below/**"}}) as tree:
        assert tree.run(source, str(place)) == ["EPERM"] * 6 + ["done"]


def test_a_file_put_in_its_place_later_is_held_too(place: Path) -> None:
    with governed({"id": "open", "file": {"path": [str(place / "secret"), f"{place}/*.pem"]}}) as tree:
        (place / "fresh").write_text("new")
        (place / "fresh").rename(place / "secret")
        (place / "key.pem").write_text("new")
        source = "print(json.dumps([attempt(read, sys.argv[1] + n) for n in ('/secret', '/key.pem', '/free')]))"
        assert tree.run(source, str(place)) == ["EPERM", "EPERM", "done"]


def test_the_number_of_a_deleted_file_is_nobody_elses_burden(place: Path) -> None:
    with governed({"id": "open", "file": {"path": f"{place}/*.pem"}}) as tree:
        reused = False
        for i in range(20):
            key = place / f"{i}.pem"
            key.write_text("x")
            time.sleep(0.02)
            number = key.stat().st_ino
            key.unlink()
            plain = place / f"plain{i}"
            plain.write_text("x")
            reused = reused or plain.stat().st_ino == number
            assert tree.run("print(json.dumps(attempt(read, sys.argv[1])))", str(plain)) == "done"
            if reused:
                break
        if not reused:
            pytest.skip("this file system did not give a number again in 20 tries")


def test_exceptions_by_program_and_path(place: Path) -> None:
    source = """
d = sys.argv[1]
print(json.dumps([
    run("/bin/cat", d + "/secret"), attempt(read, d + "/secret"), attempt(read, d + "/free"), run("/bin/cat", d + "/below/one")
]))
"""
    rule = {
        "id": "open",
        "file": {"path": f"{place}/**"},
        "except": [
            {"program": os.path.realpath("/bin/cat"), "path": str(place / "secret")},
            {"path": str(place / "free")},
        ],
    }
    with governed(rule) as tree:
        child = tree.start(source, str(place))
        told = child.communicate()[0].splitlines()[-1]
        assert told == '["done", "EPERM", "done", "1"]'


def test_exec_of_a_held_program_by_any_name(place: Path) -> None:
    source = """
d = sys.argv[1]
os.link(d + "/held", d + "/hard")
os.symlink(d + "/held", d + "/soft")
def by_descriptor():
    p = os.fork()
    if p == 0:
        try: os.execve(os.open(d + "/held", os.O_PATH), ["x"], {})
        except OSError as e: os._exit(100 + e.errno)
    return os.waitpid(p, 0)[1] >> 8
os.mkdir(d + "/bin")
told = [run(d + "/" + n) for n in ("held", "hard", "soft", "bin/../held")] + [by_descriptor() - 100, run(d + "/other")]
os.rename(d + "/held", d + "/bin/x")
print(json.dumps([*told, run(d + "/bin/x")]))
"""
    with governed({"id": "exec", "exec": {"path": str(place / "held")}}) as tree:
        assert tree.run(source, str(place)) == ["EPERM"] * 4 + [1, "done", "EPERM"]
        assert tree.effective("exec") == "prevented"
        assert {hit.target for hit in tree.hits()} == {"exec"}
        subprocess.run([place / "bin/x"], check=True)  # for others it is a program like any other


def test_a_thousand_execs_in_a_race_none_run(place: Path) -> None:
    (place / "mark").write_bytes(Path(os.path.realpath("/usr/bin/touch")).read_bytes())
    (place / "mark").chmod(0o755)
    source = """
d = sys.argv[1]
def tries(n, i):
    name = d + "/mark"
    if i % 2:
        name = d + "/n%d-%d" % (n, i)
        (os.link if i % 4 == 1 else os.symlink)(d + "/mark", name)
    return run(name, d + "/ran-%d-%d" % (n, i))
print(race(tries))
"""
    with governed({"id": "exec", "exec": {"path": str(place / "mark")}}) as tree:
        assert tree.run(source, str(place)) == 0
        assert not list(place.glob("ran-*"))
        tree.governor.finish()
        assert tree.count("exec") == 1000


def test_a_program_that_may_not_be_read_cannot_be_copied(place: Path) -> None:
    source = "print(json.dumps([attempt(read, sys.argv[1] + '/held'), run(sys.argv[1] + '/held')]))"
    with governed({"id": "exec", "exec": {"path": str(place / "held"), "deny_reading": True}}) as tree:
        assert tree.run(source, str(place)) == ["EPERM", "EPERM"]


def test_kill_by_path_is_before_the_first_instruction(place: Path) -> None:
    with governed({"id": "exec", "exec": {"path": str(place / "held")}, "action": "kill"}) as tree:
        assert tree.run("print(json.dumps(run(sys.argv[1] + '/held')))", str(place)) == "signal 9"
        assert [(hit.outcome, hit.signal) for hit in tree.hits()] == [("prevented", 9)]


def test_a_path_that_is_not_there_is_told(tmp_path: Path) -> None:
    with governed({"id": "open", "file": {"path": str(tmp_path / "none" / "x")}}) as tree:
        status = tree.governor.status()[0]
        assert status.effective == "not_enforced"
        assert "No such file" in status.parts[0].note
