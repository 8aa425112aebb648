"""What this kernel can do: three answers, each with its reason, and never an exception."""

import os
import subprocess
import sys

import pytest

from intact.collect import features
from intact.collect.features import Answer, Feature, probe_features
from intact.collect.loader import BTF
from intact.model.errors import NotSupported


def test_every_feature_has_an_answer_and_a_reason() -> None:
    found = probe_features()
    assert len(found) == len(features.PROBES) == len({feature.name for feature in found})
    for feature in found:
        assert feature.reason
        assert "\n" not in feature.reason + feature.remedy


def test_a_probe_that_breaks_could_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def _broken_probe() -> Feature:
        raise NotSupported("no library")

    monkeypatch.setattr(features, "PROBES", (_broken_probe,))
    (feature,) = probe_features()
    assert feature == Feature(name="broken probe", answer=Answer.UNKNOWN, reason="the probe failed: no library")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give its privileges up")
def test_without_privilege_a_refusal_is_no_no() -> None:
    code = (
        "import os\nfrom intact.collect.features import probe_features\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "for f in probe_features(): print(f.name, '|', f.answer.name, '|', f.remedy)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    answers = {
        name: (answer, remedy) for name, answer, remedy in (line.split(" | ") for line in run.stdout.splitlines())
    }
    assert answers["privilege"][0] == "NO"
    assert answers["BTF tracepoints"] == ("UNKNOWN", features.AS_ROOT)
    assert run.stderr == ""


def test_the_reason_of_a_no_is_the_kernels() -> None:
    assert features._told("x", 0, since="Linux 9").answer in (Answer.NO, Answer.UNKNOWN)
    assert features._told("x", -95, since="Linux 9").reason == "the kernel says: Operation not supported"
    assert features._told("x", 1, since="Linux 9").answer is Answer.YES


@pytest.mark.skipif(os.geteuid() != 0 or not BTF.exists(), reason="not root, or no BTF: no helper can be tried")
def test_helpers_are_tried_by_number() -> None:
    found = {feature.name: feature for feature in probe_features()}
    for name in ("bpf_loop", "bpf_copy_from_user_task"):
        assert (found[name].answer, found[name].needed) == (Answer.YES, True), found[name]
    no_helper = features._helper("none", 100_000, since="Linux 99")
    assert (no_helper.answer, no_helper.remedy) == (Answer.NO, "needs Linux 99")


def test_the_version_of_libbpf_is_told() -> None:
    assert features._libbpf().reason.startswith("version 1.")


def test_a_libbpf_too_old_has_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_LIBBPF_LEAST", (99, 0))
    assert (features._libbpf().answer, features._libbpf().remedy) == (Answer.NO, "install libbpf 99.0 or later")
