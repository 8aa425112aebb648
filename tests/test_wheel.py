"""The wheel carries what a host without a compiler needs, and the extras keep their promises."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the tree, so that the build leaves nothing behind."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("src", "bpf", "docs"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "setup.py", "README.md", "README.zh.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    native = tree / "src" / "intact" / "collect" / "native"
    if not (native / "intact.bpf.o").exists():
        pytest.skip("the kernel objects are not built: make build")
    subprocess.run(["make", "-s", "-C", str(tree / "bpf"), "bundle"], check=True, capture_output=True)
    out = tmp_path_factory.mktemp("wheel")
    line = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(out), str(tree)]
    subprocess.run(line, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_kernel_objects_and_libraries_are_inside(wheel: Path) -> None:
    names = {Path(n).name for n in zipfile.ZipFile(wheel).namelist()}
    assert {"intact.bpf.o", "libintact_loader.so", "libbpf.so.1", "libelf.so.1"} <= names
    assert "-py3-none-linux_" in wheel.name


def test_the_page_is_inside(wheel: Path) -> None:
    pages = {name.name for name in (ROOT / "src" / "intact" / "serve" / "page").iterdir()}
    assert {f"intact/serve/page/{name}" for name in pages} <= set(zipfile.ZipFile(wheel).namelist())


def test_the_documents_are_inside_and_are_found(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = "from intact.assist.asking import Language\n"
    code += "from intact.assist.knowledge.library import Library, own_documents\n"
    code += f"assert str(own_documents().path).startswith({str(tmp_path)!r})\nlibrary = Library()\n"
    code += "print(library.search('怎么录制一个智能体', Language.ZH, 1)[0].chunk.file)\n"
    code += "print(*(source.file for source in library.sources()), sep='\\n')"
    line = [sys.executable, "-c", code]
    out = subprocess.run(line, check=True, capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path)}).stdout
    first, *files = out.split()
    documents = [ROOT / "README.md", ROOT / "README.zh.md", *(ROOT / "docs").glob("**/*.md")]
    assert set(files) == {f"intact/{document.relative_to(ROOT)}" for document in documents}
    assert first.startswith("intact/")


def test_it_loads_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); print(open('/proc/self/maps').read())"
    library = tmp_path / "intact" / "collect" / "native" / "libintact_loader.so"
    maps = subprocess.run([sys.executable, "-c", code, str(library)], check=True, capture_output=True, text=True).stdout
    assert str(tmp_path / "intact" / "collect" / "native" / "libbpf.so.1") in maps


def test_the_sensor_is_light() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    heavy = ("chdb", "langchain", "langgraph", "fastmcp", "openai", "anthropic", "pandas")
    assert not [need for need in extras["sensor"] if need.startswith(heavy)]


def test_the_recorder_never_imports_the_database() -> None:
    code = "import sys, intact.cli.record, intact.cli.collector\n"
    code += "print([m for m in sys.modules if m.startswith(('chdb', 'pandas'))])"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.strip() == "[]"


def test_the_front_is_light() -> None:
    code = "import sys, intact.cli.record; print([m for m in sys.modules if m in ('numpy', 'pyarrow', 'hyperscan')])"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.strip() == "[]"
