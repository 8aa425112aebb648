"""What the words of a tool call name, and what they do not."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intact.correlate.arguments import HINT, PART, THE_VERY, Command, Words, is_bare_shell

CWD = "/work/project"


def words(name: str, **arguments: object) -> Words:
    return Words(name=name, arguments=arguments, text=str(arguments), cwd=CWD)


COMMANDS = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=200).filter(
    lambda text: text.strip(" \t\r\n'\"\\") != ""
)


@given(COMMANDS)
def test_a_command_fits_however_it_is_wrapped(command: str) -> None:
    quoted = shlex.quote(command)
    for argv in (
        ("/bin/sh", "-c", command),
        ("bash", "-lc", command),
        ("bash", "-c", "-l", f"source /tmp/snapshot.sh && eval {quoted} \\< /dev/null && pwd -P >| /tmp/cwd"),
        ("env", "-i", "sh", "-c", command),
    ):
        assert Command(command).in_argv(argv) >= THE_VERY


@given(COMMANDS, st.lists(st.text(max_size=20), max_size=6))
def test_nothing_raises(command: str, argv: list[str]) -> None:
    found = words("Bash", command=command, file_path=command)
    found.match_argv(tuple(argv))
    for text in (*argv, "/" + "/".join(argv)):
        found.match_path(text)
        found.match_address(text, 80)
    is_bare_shell(tuple(argv))


@given(st.lists(st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True), min_size=1, max_size=5), st.booleans())
def test_a_path_argument_fits_its_path(parts: list[str], absolute: bool) -> None:
    path = f"{CWD}/{'/'.join(parts)}"
    given_as = path if absolute else "./" + "/".join(parts)
    found = words("write_file", file_path=given_as, content="x")
    assert found.match_path(path, writes=True) >= THE_VERY
    assert found.match_path("/elsewhere" + path + "/more") < THE_VERY


@pytest.mark.parametrize(
    ("command", "argv", "low", "high"),
    [
        ("ls", ("bash", "-c", "ls"), THE_VERY, 4),
        ("ls", ("bash", "-c", "false"), 0, 0),
        ("make", ("bash", "-c", "cmake ."), 0, 0),
        ("make test", ("make", "test"), THE_VERY, 4),
        ("cd sub && make -j4 all", ("/usr/bin/make", "-j4", "all"), PART, THE_VERY),
        ("cd sub && make -j4 all", ("git", "status"), 0, 0),
        ("./run.sh --fast", ("/bin/sh", "./run.sh", "--fast"), PART, 4),
        ("cat x", ("rsync", "-a", "x", "y"), 0, PART),
    ],
)
def test_command_fits(command: str, argv: tuple[str, ...], low: float, high: float) -> None:
    assert low <= Command(command).in_argv(argv) <= high


def test_the_wrapped_command_fits_better_than_the_wrapper() -> None:
    argv = ("/bin/bash", "-c", "-l", "source /tmp/snap.sh && eval 'ls' \\< /dev/null && pwd -P >| /tmp/c-1-cwd")
    assert Command("ls").in_argv(argv) > Command("pwd").in_argv(argv)
    argv = ("bash", "-c", "shopt -u promptvars; { pwd; }; __code=$?; pgrep -g 0 >/tmp/x 2>&1; exit $__code;")
    assert Command("pwd").in_argv(argv) > Command("exit").in_argv(argv)


def test_paths_beside_and_above() -> None:
    found = words("write_file", file_path=f"{CWD}/a/b/notes.md", content="config.json is elsewhere")
    assert found.match_path(f"{CWD}/a/b/notes.md.tmp.4711.123", writes=True) >= THE_VERY
    assert found.match_path(f"{CWD}/a/b/.notes.md.swp", writes=True) >= THE_VERY
    assert PART <= found.match_path(f"{CWD}/a") < THE_VERY
    assert found.match_path(CWD) == 0
    assert found.match_path(f"{CWD}/config.json") == 0
    assert HINT <= found.match_path(f"{CWD}/a/b/other.md") < PART  # it may look around what it was told


def test_a_patch_names_its_files() -> None:
    patch = "*** Begin Patch\n*** Update File: src/a.py\n@@\n-x\n+y\n*** Add File: b.txt\n+z\n*** End Patch"
    found = words("apply_patch", input=patch)
    assert found.match_path(f"{CWD}/src/a.py") >= THE_VERY
    assert found.match_path(f"{CWD}/b.txt") >= THE_VERY


def test_paths_of_a_command() -> None:
    found = words("bash", command="cd sub; echo hi > out.txt && cp /etc/motd --target=copies")
    assert found.match_path(f"{CWD}/out.txt") >= PART
    assert found.match_path(f"{CWD}/sub/out.txt") >= PART
    assert found.match_path("/etc/motd") >= PART
    assert found.match_path(f"{CWD}/copies") >= PART
    assert found.match_path(f"{CWD}/other.bin") < HINT


@pytest.mark.parametrize(
    ("url", "address", "port", "fits"),
    [
        ("http://127.0.0.1:8080/x", "127.0.0.1", 8080, THE_VERY),
        ("http://localhost:8080", "::1", 8080, THE_VERY),
        ("http://127.0.0.1:8080/x", "127.0.0.1", 8081, 0),
        ("https://example.com/page", "93.184.216.34", 443, PART),
        ("https://example.com/page", "93.184.216.34", 80, 0),
        ("http://[2001:db8::1]/", "2001:db8::1", 80, THE_VERY),
        ("curl -sk http://127.0.0.1:9/", "127.0.0.1", 9, THE_VERY),
        ("curl -sk http://127.0.0.1:9/", "127.0.0.1", 8080, 0),
        ("http://127.0.0.1/", "127.0.0.1", 8080, 0),
        ("127.0.0.1:9", "127.0.0.1", 9, THE_VERY),
        ("127.0.0.1:9", "127.0.0.1", 8080, 0),
        ("nc 127.0.0.1 8080", "127.0.0.1", 8080, THE_VERY),
        ("ping 127.0.0.1", "127.0.0.1", 8080, THE_VERY),
    ],
)
def test_address(url: str, address: str, port: int, fits: float) -> None:
    score = words("web_fetch", url=url).match_address(address, port)
    assert int(score) == int(fits)


@pytest.mark.parametrize(
    ("argv", "bare"),
    [
        ("bash", True), ("bash --norc -i", True), ("/bin/sh -s", True), ("python3 -i -q", True), ("env FOO=1 bash", True),
        ("bash -c ls", False), ("bash run.sh", False), ("python3 x.py", False), ("ls", False), ("node", True),
    ],
)  # fmt: skip
def test_bare_shell(argv: str, bare: bool) -> None:
    assert is_bare_shell(tuple(argv.split())) is bare


@pytest.mark.parametrize(
    "text", ["//", "//host/share", "/", "..", "../../..", "~/", "file:", "a//b///c", "\x1b[2J", "/" * 5000]
)
def test_odd_paths_end(text: str) -> None:
    for key in ("path", "command", "input", "url"):
        words("tool", **{key: text}).match_path("/work/project/x")
        words("bash", command=f"cat {text} http:{text}").match_path(text)
