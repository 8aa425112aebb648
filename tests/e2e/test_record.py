"""`intact record` is not felt: exit code, environment, input, user and errors are as without it."""

import json
import os
import pwd
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.recorded import (
    ENVIRONMENT,
    INTACT,
    ROOT,
    intact,
    kernel_test,
    lines,
    paths,
    record,
    record_argv,
    runs,
    show,
)

NOBODY = 65534


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter: pytest's own are private."""
    folder = Path(tempfile.mkdtemp(prefix="intact-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@kernel_test
@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
        ("kill -INT $$", 130),
    ],
)
def test_exit_code_is_the_commands(script: str, code: int, tmp_path: Path) -> None:
    done = record(tmp_path / "data", "/bin/bash", "-c", script)
    assert done.returncode == code, done.stderr
    (run,) = runs(tmp_path / "data")
    assert run["exit_code"] == code
    assert run["problem"] is None
    assert run["ended_ns"] > run["started_ns"]
    assert run["id"] in done.stderr.decode()


@kernel_test
def test_environment_directory_arguments_and_input_are_kept(tmp_path: Path) -> None:
    program = (
        "import os, sys, json; json.dump({'env': dict(os.environ), 'cwd': os.getcwd(), 'input': sys.stdin.read(),"
        " 'argv': [os.fsencode(a).hex() for a in sys.argv[1:]], 'umask': os.umask(0),"
        " 'fds': sorted(int(f) for f in os.listdir('/proc/self/fd'))}, sys.stdout)"
    )
    env = {**ENVIRONMENT, "ODD": "a b\nc\u00e9", "LC_CTYPE": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    odd: list[str | bytes] = ["", "a b", "two\nlines", "--data", "-v", b"\xff\xfe", "\u00e9"]
    command: list[str | bytes] = ["/usr/bin/python3", "-c", program, *odd]
    plain = subprocess.run(command, env=env, cwd=tmp_path, input=b"some words", capture_output=True, check=True)
    done = record(tmp_path / "data", *command, env=env, cwd=tmp_path, stdin=b"some words")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(plain.stdout)
    (exec_effect,) = [
        e for e in show(tmp_path / "data")["effects"] if e["kind"] == "exec" and e["argv"][2:3] == [program]
    ]
    assert exec_effect["argv"][3:8] == ["", "a b", "two\nlines", "--data", "-v"]


@kernel_test
def test_output_is_the_commands_alone(tmp_path: Path) -> None:
    done = record(tmp_path / "data", "/bin/sh", "-c", "echo out; echo err >&2")
    assert done.stdout == b"out\n"
    own = [line for line in lines(done.stderr) if line != "err"]
    assert own
    assert all(line.startswith("intact: ") for line in own), own


@kernel_test
def test_what_it_did_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "made.txt"
    record(
        tmp_path / "data", "/bin/bash", "-c", f"echo hi > {target}; cat {target}; mv {target} {target}.2; rm {target}.2"
    )
    shown = show(tmp_path / "data")
    assert str(target) in paths(shown, "file_create")
    assert str(target) in paths(shown, "file_write")
    assert str(target) in paths(shown, "file_read")
    assert f"{target}.2" in paths(shown, "file_delete")
    assert {"exec", "exit", "fork"} <= {effect["kind"] for effect in shown["effects"]}
    assert shown["ledger"]["complete"], shown["ledger"]


@kernel_test
def test_name_and_latest(tmp_path: Path) -> None:
    data = tmp_path / "data"
    record(data, "/bin/true", options=["--name", "first one"])
    record(data, "/bin/true")
    assert {run["name"] for run in runs(data)} == {"first one", "true"}
    assert show(data)["run"]["name"] == "true"
    assert show(data, "first one")["run"]["command"] == ["/bin/true"]


@kernel_test
@pytest.mark.parametrize("quick", ["/bin/true", "/bin/sh"])
def test_a_command_that_ends_at_once_is_whole(quick: str, tmp_path: Path) -> None:
    done = record(tmp_path / "data", quick)
    assert done.returncode == 0
    kinds = [effect["kind"] for effect in show(tmp_path / "data")["effects"]]
    assert kinds[0] == "exec"
    assert "exit" in kinds


@kernel_test
def test_under_sudo_it_is_the_callers(open_folder: Path) -> None:
    person = pwd.getpwnam("daemon")
    env = {
        **ENVIRONMENT,
        "HOME": "/root",
        "USER": "root",
        "SUDO_UID": str(person.pw_uid),
        "SUDO_GID": str(person.pw_gid),
    }
    made = open_folder / "made"
    made.mkdir()
    os.chown(made, person.pw_uid, person.pw_gid)
    data = open_folder / "data"
    script = f"id -u; id -g; id -G; echo $HOME; echo $USER; echo $LOGNAME; echo $SHELL; touch {made}/file"
    done = record(data, "/bin/sh", "-c", script, env=env, options=["--capture", str(open_folder / "capture")])
    assert done.returncode == 0, done.stderr
    groups = " ".join(str(group) for group in os.getgrouplist(person.pw_name, person.pw_gid))
    identity = [str(person.pw_uid), str(person.pw_gid), groups]
    assert lines(done.stdout) == [*identity, person.pw_dir, person.pw_name, person.pw_name, person.pw_shell]
    assert (made / "file").stat().st_uid == person.pw_uid
    kept = [data, *data.rglob("*"), open_folder / "capture"]
    strangers = [path for path in kept if (path.stat().st_uid, path.stat().st_gid) != (person.pw_uid, person.pw_gid)]
    assert strangers == []
    assert (open_folder / "capture").stat().st_mode & 0o777 == 0o600
    assert data.stat().st_mode & 0o077 == 0


def wrong(*arguments: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """The exit code and the one line that explains it."""
    said = intact(*arguments, env=env or ENVIRONMENT)
    (line,) = lines(said.stderr)
    assert "Traceback" not in line
    return said.returncode, line


@kernel_test
def test_a_missing_program_is_named(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    assert wrong("record", *data, "--", "no-such-program") == (1, "intact: cannot run 'no-such-program': not in PATH")
    code, line = wrong("record", *data, "--", "/no/such/program")
    assert (code, "'/no/such/program'" in line) == (1, True)
    code, line = wrong("record", *data, "--", str(tmp_path))
    assert (code, "not executable" in line) == (1, True)
    assert not (tmp_path / "data").exists()


@kernel_test
def test_a_file_that_is_no_program_leaves_a_run(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF" + bytes(100))
    broken.chmod(0o755)
    done = record(tmp_path / "data", str(broken))
    assert done.returncode == 126
    assert "cannot run" in done.stderr.decode()
    assert runs(tmp_path / "data")[0]["exit_code"] == 126


def test_wrong_use_is_said() -> None:
    code, line = wrong("record")
    assert (code, "record" in line) == (2, True)
    code, line = wrong("record", "--no-such-option", "--", "/bin/true")
    assert (code, "--no-such-option" in line) == (2, True)


@kernel_test
def test_a_capture_is_never_overwritten(tmp_path: Path) -> None:
    there = tmp_path / "capture"
    there.write_text("precious")
    code, line = wrong("record", "--data", str(tmp_path / "data"), "--capture", str(there), "--", "/bin/true")
    assert (code, str(there) in line) == (2, True)
    assert there.read_text() == "precious"


@pytest.mark.kernel
def test_without_privilege_the_remedy_is_named(open_folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    # The interpreter of the environment may be in a folder that is root's alone; the system's is for everybody.
    own: tuple[list[str], dict[str, str]] = [INTACT], {}
    shared = ["/usr/bin/python3", "-m", "intact"], {"PYTHONPATH": f"{ROOT / 'src'}:{sysconfig.get_path('purelib')}"}
    for program, more in (own, shared):
        start = [*drop, "env", *(f"{name}={value}" for name, value in more.items()), *program]
        if subprocess.run([*start, "--version"], capture_output=True, check=False).returncode == 0:
            break
    else:
        pytest.skip("the command cannot be run by another user here: its files are root's alone")
    argv = [*start, *record_argv(open_folder / "data", "/bin/true")[1:]]
    done = subprocess.run(argv, env=dict(ENVIRONMENT), capture_output=True, text=True, check=False)
    (line,) = lines(done.stderr)
    assert done.returncode == 1
    assert "sudo" in line
    assert not (open_folder / "data").exists()


@kernel_test
def test_without_btf_the_remedy_is_named(tmp_path: Path) -> None:
    hide = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/kernel/btf && exec "$@"', "sh"]
    if subprocess.run([*hide, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a mount namespace of the test's own cannot be made here")
    argv = record_argv(tmp_path / "data", "/bin/true")
    done = subprocess.run([*hide, *argv], env=dict(ENVIRONMENT), capture_output=True, text=True, check=False)
    (line,) = lines(done.stderr)
    assert done.returncode == 1
    assert "CONFIG_DEBUG_INFO_BTF" in line
