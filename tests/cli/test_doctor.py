import json
import os
from pathlib import Path

import pytest

from intact.cli.doctor import verdict
from intact.collect.features import Answer, Feature
from tests.e2e.recorded import intact

FIELDS = {"feature", "answer", "reason", "remedy", "needed_for"}


def test_every_answer_has_its_reason(tmp_path: Path) -> None:
    said = intact("doctor", "--json", "--data", str(tmp_path / "data"))
    assert said.returncode == 0, said.stderr
    found = {one["feature"]: one for one in json.loads(said.stdout)}
    assert set(found) >= {"privilege", "BTF", "cgroup v2", "ring buffer", "uprobes", "store", "data directory"}
    for one in found.values():
        assert set(one) == FIELDS
        assert one["answer"] in ("yes", "no", "unknown")
        assert one["reason"]
        if one["answer"] == "no" and one["needed_for"].startswith("record"):
            assert one["remedy"]
    assert found["store"]["answer"] == "yes"
    assert found["data directory"]["answer"] == "yes"
    assert found["BTF"]["answer"] == ("yes" if os.path.exists("/sys/kernel/btf/vmlinux") else "no")
    assert not (tmp_path / "data").exists()


def test_a_person_gets_a_table_and_a_verdict(tmp_path: Path) -> None:
    said = intact("doctor", "--data", str(tmp_path))
    assert said.returncode == 0, said.stderr
    heading, *rows, last = said.stdout.splitlines()
    assert heading.split()[:2] == ["feature", "answer"]
    assert any(row.startswith("privilege") for row in rows)
    assert last.strip()
    assert "\x1b" not in said.stdout


def test_a_data_directory_that_cannot_be_is_a_no_with_a_remedy(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("")
    said = intact("doctor", "--json", "--data", str(place))
    (found,) = [one for one in json.loads(said.stdout) if one["feature"] == "data directory"]
    assert (found["answer"], "INTACT_DATA" in found["remedy"]) == ("no", True)


@pytest.mark.parametrize(
    ("answer", "use", "words"),
    [
        (Answer.YES, "record", "everything that intact needs"),
        (Answer.NO, "record", "not everything works here: x"),
        (Answer.UNKNOWN, "record", "could not tell about 1 feature: x"),
        (Answer.NO, "a better hook where there is one", "everything that intact needs"),
    ],
)
def test_the_verdict_is_about_what_is_needed(answer: Answer, use: str, words: str) -> None:
    assert verdict([(Feature(name="x", answer=answer, reason="r"), use)]).startswith(words)
