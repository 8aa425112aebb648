"""The C and Python layouts of every record agree, field by field: the compiler is the judge."""

import shutil
import subprocess
from ctypes import sizeof
from pathlib import Path

import pytest

from intact.collect import capture_file, machine
from intact.decode import wire

WIRE_H = Path(__file__).parents[1] / "bpf" / "wire.h"
COMPILERS = [name for name in ("clang", "clang-14", "gcc", "cc") if shutil.which(name)]


def compile_claims(claims: list[str]) -> str:
    """What the compiler says against the claims; empty if it agrees."""
    assert COMPILERS, "no C compiler"
    command = [COMPILERS[0], "-fsyntax-only", "-include", "stddef.h", "-include", str(WIRE_H), "-x", "c", "-"]
    return subprocess.run(command, input="\n".join(claims), text=True, capture_output=True, check=False).stderr


def layout_claims(name: str, shift: int = 0) -> list[str]:
    struct = wire.STRUCTS[name]
    claims = []
    for field, kind, *_ in struct._fields_:
        offset = getattr(struct, field).offset + shift
        claims.append(f'_Static_assert(offsetof(struct {name}, {field}) == {offset}, "{name}.{field} offset");')
        claims.append(
            f'_Static_assert(sizeof(((struct {name} *)0)->{field}) == {sizeof(kind)}, "{name}.{field} size");'
        )
    if (
        f"struct {name} {{" in WIRE_H.read_text()
        and "char data" in WIRE_H.read_text().split(f"struct {name} {{")[1].split("};")[0]
    ):
        claims.append(f'_Static_assert(offsetof(struct {name}, data) == {wire.data_offset(struct)}, "{name}.data");')
    else:
        claims.append(f'_Static_assert(sizeof(struct {name}) == {sizeof(struct)}, "{name} size");')
    return claims


@pytest.mark.parametrize("name", wire.STRUCTS)
def test_layouts_agree(name: str) -> None:
    assert compile_claims(layout_claims(name)) == ""


def test_a_planted_difference_is_caught() -> None:
    assert "intact_file.inode offset" in compile_claims(layout_claims("intact_file", shift=8))


def test_every_struct_of_the_header_is_known() -> None:
    declared = {line.split()[1] for line in WIRE_H.read_text().splitlines() if line.startswith("struct ")}
    assert declared == set(wire.STRUCTS)


def test_every_number_agrees() -> None:
    claims = [f'_Static_assert(INTACT_WIRE_VERSION == {wire.WIRE_VERSION}, "version");']
    for prefix, enum in {
        "TYPE_": wire.Type,
        "": wire.Counter,
        "FLAG_": wire.Flag,
        "FILE_": wire.FileOp,
        "IO_": wire.IoOp,
        "NET_": wire.NetOp,
        "DIRECTION_": wire.Direction,
        "CREDENTIAL_": wire.CredentialCall,
    }.items():
        claims += [f'_Static_assert({prefix}{m.name} == {m.value}, "{prefix}{m.name}");' for m in enum]
    claims += [f'_Static_assert(FAMILY_{f.upper()} == {i}, "{f}");' for i, f in enumerate(wire.FAMILIES)]
    claims += [f'_Static_assert(CLASS_{c.upper()} == {n}, "{c}");' for c, n in wire.CLASS_BYTES.items()]
    claims += [
        f'_Static_assert(FAMILY_COUNT == {len(wire.FAMILIES)}, "families");',
        f'_Static_assert(COUNT_COUNTERS == {len(wire.Counter)}, "counters");',
    ]
    assert compile_claims(claims) == ""


def test_the_collector_reads_the_same_header() -> None:
    for field in machine.HEAD.names or ():
        assert machine.HEAD.fields is not None
        assert machine.HEAD.fields[field][1] == getattr(wire.Header, field).offset
    assert machine.HEAD.itemsize == sizeof(wire.Header)
    assert wire.FAMILIES == machine.FAMILIES
    assert len(wire.Counter) == machine.COUNTERS
    assert capture_file.WIRE_VERSION == wire.WIRE_VERSION
