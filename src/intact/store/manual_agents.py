"""What a person said about who is an agent: a small file in the data directory, written whole, read by a running sensor."""

import json
import os
from dataclasses import asdict

from intact.model.errors import IntactError
from intact.model.recognition import ManualRule
from intact.store.runs import DataDirectory

FILE = "agents.json"
MAX_FILE_BYTES = 1 << 20
MOST_RULES = 1_000


class ManualAgents:
    """The rules of `intact agents add` and `remove`."""

    def __init__(self, directory: DataDirectory) -> None:
        self._directory = directory
        self.path = directory.path / FILE

    def stamp(self) -> tuple[int, int]:
        """Differs when the file does."""
        try:
            status = self.path.stat()
        except OSError:
            return (0, 0)
        return (status.st_mtime_ns, status.st_ino)

    def rules(self) -> tuple[ManualRule, ...]:
        """The rules, oldest first.

        Raises:
            IntactError: the file is there and cannot be read.
        """
        try:
            with open(self.path, "rb") as file:
                entries = json.loads(file.read(MAX_FILE_BYTES))
            return tuple(ManualRule(**entry) for entry in entries)
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise IntactError(f"cannot read {self.path}: {type(error).__name__}; mend or remove it") from None

    def put(self, rule: ManualRule) -> None:
        """Add a rule, in the place of an earlier one about the same process or file.

        Raises:
            IntactError: the file cannot be read or written, or it is full.
        """
        kept = [each for each in self.rules() if _subject(each) != _subject(rule)]
        if len(kept) >= MOST_RULES:
            raise IntactError(f"{self.path} holds {MOST_RULES} rules; remove some")
        self._write([*kept, rule])

    def drop(self, rule: ManualRule) -> bool:
        """Take back what was said about the same process or file; whether anything was."""
        rules = self.rules()
        kept = [each for each in rules if _subject(each) != _subject(rule)]
        if len(kept) < len(rules):
            self._write(kept)
        return len(kept) < len(rules)

    def _write(self, rules: list[ManualRule]) -> None:
        self._directory.make()
        temporary = self.path.with_name(f".{FILE}.{os.getpid()}")
        try:
            temporary.write_text(json.dumps([asdict(rule) for rule in rules], indent=1))
            temporary.chmod(0o600)
            self._directory.own(temporary)
            os.replace(temporary, self.path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise IntactError(f"cannot write {self.path}: {error.strerror}") from None


def _subject(rule: ManualRule) -> tuple[str, str, int, int]:
    return rule.exe, rule.boot_id, rule.tgid, rule.start_ns
