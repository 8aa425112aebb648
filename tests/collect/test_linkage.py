"""The dynamic section of real files, and of files that are none."""

import importlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intact.collect.linkage import Linkage, libraries, read_linkage


def program(name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return Path(found)


def test_the_tls_library_of_python_is_found() -> None:
    module = Path(importlib.import_module("_ssl").__file__ or "")
    (found,) = libraries(module, "libssl")
    assert found.name.startswith("libssl")
    assert found == found.resolve()


def test_names_and_folders_are_those_the_linker_wrote(tmp_path: Path) -> None:
    compiler = program("gcc")
    source, made = tmp_path / "empty.c", tmp_path / "lib" / "made.so"
    made.parent.mkdir()
    source.write_text("")
    inner = tmp_path / "lib" / "libssl_inner.so"
    subprocess.run([compiler, "-shared", "-o", inner, source], check=True)
    rpath = "-Wl,-rpath,$ORIGIN:/nowhere,--no-as-needed"
    subprocess.run([compiler, "-shared", "-o", made, source, rpath, "-L", inner.parent, "-lssl_inner"], check=True)
    linkage = read_linkage(made)
    assert linkage is not None
    assert linkage.needed[0] == "libssl_inner.so"
    assert linkage.search == (str(made.parent), "/nowhere")
    assert list(libraries(made, "libssl")) == [inner]


def test_a_file_without_dynamic_section_needs_nothing(tmp_path: Path) -> None:
    compiler = program("gcc")
    source, made = tmp_path / "empty.c", tmp_path / "made.o"
    source.write_text("")
    subprocess.run([compiler, "-c", "-o", made, source], check=True)
    assert read_linkage(made) == Linkage(needed=(), search=())


def test_what_is_no_program_has_no_linkage(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    assert read_linkage(script) is None
    assert read_linkage(tmp_path) is None
    assert read_linkage(tmp_path / "missing") is None


@given(st.data())
def test_damage_anywhere_is_survived(data: st.DataObject) -> None:
    whole = bytearray(Path(sys.executable).resolve().read_bytes()[: 1 << 16])
    for _ in range(data.draw(st.integers(0, 8))):
        at = data.draw(st.integers(0, 1023) | st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    with tempfile.NamedTemporaryFile() as damaged:
        damaged.write(whole[: data.draw(st.integers(0, len(whole)))])
        damaged.flush()
        found = read_linkage(Path(damaged.name))
    assert found is None or len(found.needed) <= 4096
