"""What may be looked at for whoever asks is found out by trying, and never raises."""

from pathlib import Path

import psutil
import pytest

from intact.collect import asking_features as module
from intact.collect.asking_features import PROBES, asking_features
from intact.collect.features import Answer


def told() -> dict[str, tuple[Answer, str]]:
    return {feature.name: (feature.answer, feature.reason) for feature in asking_features()}


def test_each_probe_gives_one_answer_with_its_reason() -> None:
    found = asking_features()
    assert len({feature.name for feature in found}) == len(PROBES)
    assert all(feature.reason for feature in found)
    assert all(feature.remedy for feature in found if feature.answer is Answer.NO)


def test_a_probe_that_fails_could_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "cpu_times", refused)
    assert next(feature.answer for feature in asking_features()) is Answer.UNKNOWN


def test_what_is_not_there_is_a_no(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "SYSTEM_LOGS", tmp_path / "none")
    monkeypatch.setattr(module, "_KERNEL_LOG", tmp_path / "kmsg")
    monkeypatch.setattr(module, "_JOURNALS", ())
    monkeypatch.setattr(module, "_BOOTED", tmp_path / "systemd")
    monkeypatch.setattr(psutil, "disk_io_counters", lambda: None)
    found = told()
    assert {answer for answer, _ in found.values()} == {Answer.NO}
    assert found["counters of the host"][1] == "none of disks"
    assert "No such file" in found["kernel log"][1]
