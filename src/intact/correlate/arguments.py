"""What the words of a tool call name: commands, paths, addresses, and how well a process, a path or a peer fits them.

A score is a tier and a fraction: 3 the thing itself (the whole command, the very path), 2 a part that hardly fits by chance
(one program of the command line, a path named in it), 1 a hint (a value that occurs), 0 nothing.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from posixpath import basename, dirname, join, normpath
from typing import Any

THE_VERY = 3.0
PART = 2.0
HINT = 1.0

_COMMAND_KEY = re.compile(
    r"^(?:command|commands|cmd|cmdline|script|code|shell_command|shell|bash|source_code|program)s?$", re.I
)
_COMMAND_TOOL = re.compile(r"bash|shell|exec|terminal|command|run_|python|script", re.I)
_CONTENT_KEY = re.compile(
    r"content|^text$|file_text|new_str|old_str|new_text|old_text|^body$|^data$|descri|reason|explan|prompt|thought|^new$|^old$",
    re.I,
)
_DIRECTORY_KEY = re.compile(r"dir|folder|path|root|cwd", re.I)
_PLACE_KEY = re.compile(r"^(?:cwd|work_?dir|working_?dir(?:ectory)?|directory|dir)$", re.I)
_PATCH_PATH = re.compile(
    r"^(?:\*\*\* (?:Add|Update|Delete) File: |\*\*\* Move to: |\+\+\+ (?:b/)?|--- (?:a/)?)([^\n\t]+)", re.M
)
_TOKEN = re.compile(r"[^\s'\"`\\;|&<>(){}$#*?!\[\]]+")
_PIECE = re.compile(r"[^=,:@]+")
_URL = re.compile(r"\b([a-z][a-z0-9+.]*)://(?:[^/\s'\"@]*@)?(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?", re.I)
_HOST_PORT = re.compile(
    r"(?<![\w.])(?<!://)(localhost|\d{1,3}(?:\.\d{1,3}){3}|[a-z0-9-]+(?:\.[a-z0-9-]+)+)"
    r"(?:(?::| (?=\d\d))(\d{1,5}))?(?![\w.]|:\d)",
    re.I,
)
_SQUEEZED = str.maketrans("", "", " \t\r\n'\"\\")
_PORTS = {
    "http": 80,
    "https": 443,
    "ws": 80,
    "wss": 443,
    "ftp": 21,
    "ssh": 22,
    "git": 9418,
    "redis": 6379,
    "postgresql": 5432,
}
LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::"}
_SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "ash", "fish", "busybox"}
_INTERPRETERS = re.compile(r"^(?:python[\d.]*|node|nodejs|bun|deno|ruby|perl|php|env)$")
_BARE_OPTION = re.compile(
    r"^(?:--?(?:i|s|l|il|li|q|u|norc|noprofile|login|interactive|posix|rcfile|noediting|is|qui|ui|iu))$"
)
_MOST_TEXT = 65_536  # of one argument is looked at
_MOST_LEAVES = 256
_MOST_TOKENS = 4_096
_SHORT = 12  # squeezed commands below this are compared word by word


def squeeze(text: str) -> str:
    """Text without blanks, quotes and backslashes: what quoting and wrapping leave as it is."""
    return text[:_MOST_TEXT].translate(_SQUEEZED)


def tokens(text: str) -> tuple[str, ...]:
    """The words of a command line, whatever shell syntax stands between them."""
    return tuple(
        match.group() for _, match in zip(range(_MOST_TOKENS), _TOKEN.finditer(text[:_MOST_TEXT]), strict=False)
    )


def is_bare_shell(argv: tuple[str, ...]) -> bool:
    """Whether the command line starts a shell or an interpreter that takes its commands from its input."""
    if not argv:
        return False
    name = basename(argv[0]).lstrip("-")
    if name == "env" and len(argv) > 1:
        rest = [word for word in argv[1:] if "=" not in word and not word.startswith("-")]
        return bool(rest) and is_bare_shell((*rest,))
    if "ipykernel_launcher" in argv:
        return True
    if name in _SHELLS or _INTERPRETERS.match(name):
        return all(_BARE_OPTION.match(word) for word in argv[1:])
    return False


def is_pool_worker(argv: tuple[str, ...]) -> bool:
    """Whether the command line is that of a worker which a language's process pool keeps."""
    return any("multiprocessing" in word or "loky" in word or "jest-worker" in word for word in argv[1:])


class Command:
    """One command text of a tool call."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.squeezed = squeeze(text)
        self.tokens = tokens(text)
        self._names = [basename(token) for token in self.tokens]

    def in_argv(self, argv: tuple[str, ...]) -> float:
        """How well the exec of `argv` fits this command, as a whole or as one of its programs."""
        if not self.squeezed or not argv:
            return 0.0
        for inner in _inner_scripts(argv):
            if squeeze(inner) == self.squeezed:
                return THE_VERY + 0.9
        joined = " ".join(argv)
        if squeeze(joined) == self.squeezed or self._is_argv(argv):
            return THE_VERY + 0.8
        if self._is_inside(joined):
            return THE_VERY + 0.7 * min(1.0, len(self.squeezed) / max(1, len(squeeze(joined))))
        return self._has_program(argv)

    def _is_argv(self, argv: tuple[str, ...]) -> bool:
        words = tokens(" ".join(argv))
        return (
            bool(words)
            and words[1:] == self.tokens[1:]
            and basename(words[0]) == basename(self.tokens[0] if self.tokens else "")
        )

    def _is_inside(self, joined: str) -> bool:
        if len(self.squeezed) >= _SHORT:
            if self.squeezed in squeeze(joined):
                return True
            # An argument vector longer than what is captured holds only the beginning of the command.
            return len(self.squeezed) > 4096 and self.squeezed[:2048] in squeeze(joined)
        return _runs_in(self.tokens, tokens(joined))

    def _has_program(self, argv: tuple[str, ...]) -> float:
        for shift in (0, 1):  # a script is run as its interpreter and its path
            if len(argv) <= shift:
                break
            name = basename(argv[shift])
            if shift and not (_INTERPRETERS.match(basename(argv[0])) or basename(argv[0]) in _SHELLS):
                break
            words = tokens(" ".join(argv[shift + 1 :]))
            best = 0.0
            for index, found in enumerate(self._names):
                if found == name and name:
                    following = set(self.tokens[index + 1 : index + 2 + 4 * len(words)])
                    share = sum(word in following for word in words) / len(words) if words else 0.0
                    # A program's bare name is a hint: any script may run `cat`.
                    fits = share >= 0.5 or len(words) == 1
                    best = max(best, PART + 0.9 * share if fits else HINT + 0.5)
            if best:
                return best
        return 0.0


def _runs_in(needle: tuple[str, ...], hay: tuple[str, ...]) -> bool:
    size = len(needle)
    return size > 0 and any(hay[i : i + size] == needle for i in range(len(hay) - size + 1))


def _inner_scripts(argv: tuple[str, ...]) -> Iterator[str]:
    """The script a shell was given by -c, and what that script gives to eval."""
    for index, word in enumerate(argv[:-1]):
        if re.match(r"^-[a-zA-Z]*c$", word):
            # Options may stand between -c and its script: bash -c -l SCRIPT.
            script = next((rest for rest in argv[index + 1 :] if not re.match(r"^[-+][a-zA-Z]+$", rest)), "")
            yield script
            for match in re.finditer(r"\beval\s+", script):
                yield _quoted(script[match.end() :])
            for match in re.finditer(r"(?:^|[;\n])\s*\{\s(.*?);?\s*\}\s*(?:;|\n|$)", script, re.S):
                yield match.group(1)
            break


def _quoted(text: str) -> str:
    """The first shell word of `text`: quoting that closes and opens again ('"'"') stays inside the word."""
    index, inside, size = 0, "", len(text)
    while index < size:
        char = text[index]
        if inside:
            if char == "\\" and inside == '"':
                index += 1
            elif char == inside:
                inside = ""
        elif char in "'\"":
            inside = char
        elif char == "\\":
            index += 1
        elif char.isspace() or char in ";&|<>":
            return text[:index]
        index += 1
    return text


class Words:
    """One tool call's arguments, indexed once for all questions."""

    def __init__(self, *, name: str, arguments: Mapping[str, Any], text: str, cwd: str) -> None:
        self.name = name
        self.cwd = cwd or "/"
        leaves = [leaf for _, leaf in zip(range(_MOST_LEAVES), _leaves(arguments), strict=False)]
        if not arguments and text.strip() not in ("", "{}", "null"):
            leaves = [("input", text[:_MOST_TEXT])]
        lonely = sum(isinstance(value, str) for value in arguments.values()) == 1 and _COMMAND_TOOL.search(name)
        self.leaves = leaves
        place = next((value for key, value in leaves if _PLACE_KEY.match(key)), "")
        self.commands = [
            Command(value)
            for key, value in leaves
            if _COMMAND_KEY.match(key) or (lonely and not _DIRECTORY_KEY.search(key))
        ]
        if self.commands and place:
            self.cwd = _absolute(self.cwd, place)
        self._command_texts = {command.text for command in self.commands}
        self.acts = bool(self.commands) or _THINKS.search(name) is None  # some tools touch nothing
        self.writes = any(_CONTENT_KEY.search(key) for key, _ in leaves) or bool(_WRITES.search(name))
        self._index_paths()

    def _index_paths(self) -> None:
        self.paths: set[str] = set()
        self.directories: set[str] = set()
        self.named: set[str] = set()  # absolute, by words of a command
        self.suffixes: set[str] = set()
        self.beside: dict[str, list[str]] = {}
        for key, value in self.leaves:
            if value in self._command_texts:
                self._index_command(value)
            elif _CONTENT_KEY.search(key):
                continue
            elif "\n" in value:
                for match in _PATCH_PATH.finditer(value):
                    self._add_path(match.group(1).strip(), key)
            elif _may_be_path(key, value):
                self._add_path(value, key)
        if self.commands:
            # Where a command runs says nothing about the files it touches.
            self.directories.clear()
        outside = {*_ancestors(self.cwd), self.cwd}
        self.ancestors = {above for path in self.paths for above in _ancestors(path)} - outside
        self.around = {above for path in self.named for above in _ancestors(path)} - outside

    def _add_path(self, value: str, key: str) -> None:
        if value.startswith("file:"):
            value = value.removeprefix("file:")
        path = _absolute(self.cwd, value)
        explicit = "/" in value or "." in value or _DIRECTORY_KEY.search(key) or "file" in key.lower()
        if not explicit:
            self.suffixes.add(value)
            return
        self.paths.add(path)
        relative = normpath(value.removeprefix("~/"))
        if not relative.startswith(("/", "..")) and relative != ".":
            self.suffixes.add(relative)  # the process may have changed its directory
        if path != "/":
            self.beside.setdefault(dirname(path), []).append(basename(path))
        if _DIRECTORY_KEY.search(key):
            self.directories.add(path)

    def _index_command(self, value: str) -> None:
        for token in tokens(value):
            for match in _PIECE.finditer(token):
                piece = match.group().rstrip("/")
                if not piece or piece.startswith("-") or "\0" in piece:
                    continue
                self.named.add(_absolute(self.cwd, piece))
                relative = normpath(piece.removeprefix("~/"))
                if not relative.startswith(("/", "..")) and relative != "." and len(relative) >= 2:
                    self.suffixes.add(relative)
        self.named -= {self.cwd, "/", *_ancestors(self.cwd)}

    def match_argv(self, argv: tuple[str, ...]) -> float:
        """How well an exec fits the tool call."""
        best = max((command.in_argv(argv) for command in self.commands), default=0.0)
        if best >= PART or self.commands:
            return best
        return max(best, self._hint_in_argv(argv))

    def _hint_in_argv(self, argv: tuple[str, ...]) -> float:
        best, words = 0.0, argv[1:]
        for key, value in self.leaves:
            if len(value) < 2 or (_CONTENT_KEY.search(key) and len(value) < 16):
                continue
            if value in words:
                best = max(best, PART + 0.3 if len(value) >= 4 else HINT + 0.5)
            elif len(value) >= 4 and any(value in word for word in words):
                best = max(best, HINT + 0.5)
        return max(best, HINT + 0.4 if best == 0 and self.paths and self.paths & set(words) else 0.0)

    def match_path(self, path: str, *, writes: bool = False) -> float:
        """How well a file path fits the tool call; `writes` breaks the tie of a reader and a writer of one path."""
        if not path:
            return 0.0
        agreed = 0.05 if writes == self.writes else 0.0
        if path in self.paths:
            return THE_VERY + 0.9 + agreed
        name = basename(path)
        for target in self.beside.get(dirname(path), ()):
            if len(target) >= 3 and target in name and target != name:
                return THE_VERY + 0.5 + agreed  # path.tmp.123, .path.swp: written beside it and renamed
        if path in self.named:
            return PART + 0.9
        if path in self.ancestors:
            return PART + 0.2
        around = HINT + 0.5 if path in self.around or dirname(path) in self.ancestors else 0.0
        return max(self._suffix(path), self._below(path, writes=writes), self._value(name), around)

    def _suffix(self, path: str) -> float:
        start = len(path)
        for _ in range(8):
            start = path.rfind("/", 0, start)
            if start < 0:
                return 0.0
            tail = path[start + 1 :]
            if tail in self.suffixes:
                return PART + 0.5 if "/" in tail or "." in tail else HINT + 0.6
        return 0.0

    def _below(self, path: str, *, writes: bool) -> float:
        if any(path.startswith(place + "/") for place in self.directories):
            return HINT + 0.5
        seeks = not writes and not self.commands and _SEEKS.search(self.name)
        return HINT + 0.45 if seeks and path.startswith(self.cwd.rstrip("/") + "/") else 0.0

    def _value(self, name: str) -> float:
        stem = name.lstrip(".").split(".")[0].lower()
        if len(stem) < 4:
            return 0.0
        for key, value in self.leaves:
            if len(value) < 4 or len(value) > 256 or _CONTENT_KEY.search(key):
                continue
            lowered = value.lower()
            if stem == lowered or re.sub(r"[^a-z0-9]+", "-", lowered) == re.sub(r"[^a-z0-9]+", "-", stem):
                return HINT + 0.3
        return 0.0

    @cached_property
    def _peers(self) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        for key, value in self.leaves:
            if _CONTENT_KEY.search(key):
                continue
            text = value[:_MOST_TEXT]
            found += [
                (m.group(2).strip("[]").lower(), int(m.group(3) or _PORTS.get(m.group(1).lower(), 0)))
                for m in _URL.finditer(text)
            ]
            found += [(m.group(1).lower(), int(m.group(2) or 0)) for m in _HOST_PORT.finditer(text)]
        return found[:_MOST_LEAVES]

    def match_address(self, address: str, port: int) -> float:
        """How well a peer fits the tool call."""
        best = 0.0
        for host, named_port in self._peers:
            same_port = named_port in (0, port)
            if host == address or (host == "localhost" and address in LOOPBACK):
                best = max(best, THE_VERY + (0.9 if named_port == port else 0.2) if same_port else 0.0)
            elif named_port and named_port == port and not is_literal(host) and address not in LOOPBACK:
                best = max(best, PART)
        return best

    @property
    def names_a_host(self) -> bool:
        """Whether a name must be resolved to reach what the call names."""
        return any(not is_literal(host) and host != "localhost" for host, port in self._peers if port)


_SEEKS = re.compile(r"search|grep|glob|find|list|^ls$|tree|read_many|ripgrep", re.I)
_THINKS = re.compile(r"todo|plan|think|ask_|askuser|final|finish|complet", re.I)
_WRITES = re.compile(r"write|edit|create|patch|append|replace|save|delete|move|rename|mkdir", re.I)


def _may_be_path(key: str, value: str) -> bool:
    if not 0 < len(value) < 4096 or "://" in value or "\0" in value:
        return False
    return "/" in value or "path" in key.lower() or "file" in key.lower() or not re.search(r"\s", value)


def is_literal(host: str) -> bool:
    """Whether the host is an address and not a name."""
    return ":" in host or bool(re.fullmatch(r"[\d.]+", host))


def _absolute(cwd: str, path: str) -> str:
    # POSIX leaves two leading slashes as they are; no path of the kernel has them.
    return "/" + normpath(join(cwd, path)).lstrip("/")


def _ancestors(path: str) -> list[str]:
    found, below = [], path
    while (path := dirname(below)) not in ("/", "", below):
        found.append(path)
        below = path
    return [*found, "/"]


def _leaves(value: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Every text of the arguments with the key it stands under; a list of words also as one line."""
    if isinstance(value, str):
        if value.strip():
            yield key, value[:_MOST_TEXT]
    elif isinstance(value, Mapping) and depth < 8:
        for inner, part in value.items():
            yield from _leaves(part, str(inner), depth + 1)
    elif isinstance(value, list) and depth < 8:
        if value and all(isinstance(part, str) for part in value):
            yield key, _line_of(value)
            if _COMMAND_KEY.match(key):
                return
        for part in value:
            yield from _leaves(part, key, depth + 1)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield key, str(value)


def _line_of(words: list[str]) -> str:
    """A command given as a list: the script of `bash -lc SCRIPT`, else the words in a line."""
    if len(words) >= 3 and basename(words[0]) in _SHELLS and re.match(r"^-[a-zA-Z]*c$", words[-2]):
        return words[-1][:_MOST_TEXT]
    return " ".join(words)[:_MOST_TEXT]
