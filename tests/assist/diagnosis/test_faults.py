"""Faults made for real in a scope of their own are named with their objects, and healthy workloads are let alone."""

from pathlib import Path

import pytest
from bench.diagnosis.command import run_scene, scenes
from bench.diagnosis.stage import Unable

SCENES = [
    pytest.param(kind, makers, id=f"{kind}-{name}")
    for kind, named in scenes().items()
    for name, makers in named.items()
]
EXPLAINED = {"log_storm_fills_disk": {"disk_full"}}


@pytest.mark.parametrize(("kind", "makers"), SCENES)
def test_scene(kind: str, makers: tuple, tmp_path: Path) -> None:  # type: ignore[type-arg]
    try:
        result = run_scene(makers, tmp_path / "stage")
    except Unable as error:
        pytest.skip(str(error))
    assert result["found"] == result["expected"]
    assert result["verdict"] == ("nothing_wrong" if kind == "healthy" else "found")
    assert result["right"], "asked again with the reading that was kept, it says something else"
    for maker in makers:
        assert EXPLAINED.get(maker.__name__, set()) <= set(result["symptoms"])
