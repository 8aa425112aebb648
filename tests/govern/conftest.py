"""Tests that enforce need root, BTF and the built object; what is missing is told as the reason of the skip."""

import os

import pytest

from intact.collect.loader import BTF, NATIVE


def _missing() -> str | None:
    if os.geteuid() != 0:
        return "not root: nothing can be enforced"
    if not BTF.exists():
        return f"this kernel has no {BTF}"
    if not (NATIVE / "govern.bpf.o").exists():
        return "the kernel object of enforcement was not built: make -C bpf"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = _missing()
    for item in items:
        if missing is not None and item.get_closest_marker("kernel") and "tests/govern" in str(item.path):
            item.add_marker(pytest.mark.skip(reason=missing))
