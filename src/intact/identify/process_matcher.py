"""A process that runs what the operator named is an agent, before its first request."""

import re
from collections.abc import Iterator
from functools import lru_cache
from posixpath import basename

from intact.identify.names import script_of
from intact.identify.recogniser import Image, Recognition, Sight
from intact.model.recognition import MatchOn, ProcessRule, RecognitionRules

# Of a command line that is compared: a pattern of the operator, on words of whoever runs something.
_MOST_TEXT = 8192


class ProcessRecogniser:
    """Exe, arguments, script and environment against the patterns of the config."""

    name = "process"

    def recognise(self, sight: Sight, rules: RecognitionRules) -> Recognition | None:
        """See `Recogniser`."""
        if not isinstance(sight, Image):
            return None
        for rule in rules.processes:
            if any(_compiled(rule.pattern).search(text[:_MOST_TEXT]) for text in _texts(rule, sight)):
                # The words that met it are not repeated: those of an environment may be secrets.
                reason = f"its {rule.match_on.replace('_', ' ')} meets {rule.pattern[:120]!r}"
                return Recognition(recogniser=self.name, score=0.8, reason=reason)
        return None


def _texts(rule: ProcessRule, image: Image) -> Iterator[str]:
    match rule.match_on:
        case MatchOn.PROCESS_NAME:
            yield basename(image.exe)
        case MatchOn.EXE:
            yield image.exe
        case MatchOn.CMDLINE:
            yield image.argv[0] if image.argv else image.exe
        case MatchOn.CMDLINE_WITH_ARGS:
            yield " ".join(image.argv)
        case MatchOn.SCRIPT:
            yield script_of(image.exe, image.argv)
        case MatchOn.ENV:
            yield from (f"{name}={value}" for name, value in image.environment.items())


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
