"""What can be wrong is listed in four places; each of them has all of it."""

import re
from pathlib import Path

from intact.assist.diagnosis import hypothesis, thresholds, verdict
from intact.assist.diagnosis.hypothesis import Fault
from intact.assist.diagnosis.thresholds import THRESHOLDS
from intact.assist.diagnosis.verdict import PROBES
from intact.assist.experts.host_words import WORDS

ROOM = Path(verdict.__file__).parent
PROBED = "".join(path.read_text() for path in ROOM.glob("*_probes.py"))


def test_every_fault_is_concluded_by_a_probe_and_has_words_in_both_languages() -> None:
    assert set(re.findall(r"Fault\.([A-Z_]+)", PROBED)) == set(Fault.__members__)
    assert set(WORDS) == set(Fault)


def test_every_probe_is_listed_once() -> None:
    written = set(re.findall(r"^def ([a-z]\w+)\(view: View\)", PROBED, re.MULTILINE))
    assert [probe.__name__ for probe in PROBES] == list(dict.fromkeys(probe.__name__ for probe in PROBES))
    assert written == {probe.__name__ for probe in PROBES}


def test_every_threshold_is_used() -> None:
    others = [
        path for path in ROOM.parent.rglob("*.py") if path not in (Path(thresholds.__file__), Path(hypothesis.__file__))
    ]
    used = set(re.findall(r'"([a-z_]+)"', "".join(path.read_text() for path in others)))
    assert set(THRESHOLDS) <= used
