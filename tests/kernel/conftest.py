"""Kernel tests need root, BTF and the built object; what is missing is told as the reason of the skip."""

import os
from pathlib import Path

import pytest

from intact.collect.loader import BTF, OBJECT


def _missing() -> str | None:
    if os.geteuid() != 0:
        return "not root: eBPF programs cannot be loaded"
    if not BTF.exists():
        return f"this kernel has no {BTF}"
    if not OBJECT.exists():
        return "the kernel object was not built: make -C bpf"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = _missing()
    for item in items:
        if missing is not None and Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.skip(reason=missing))
