"""The installer without a network: what counts as installed."""

from pathlib import Path

import pytest

from tests.agents.install import INSTALLABLE, InstallError, cache_dir, install, main, program_of, release_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INTACT_AGENTS", str(tmp_path))
    return tmp_path


def fake_install(folder: Path, name: str, *, stamp: str) -> Path:
    program = folder / name / release_of(name).program
    program.parent.mkdir(parents=True)
    program.touch()
    (folder / name / "installed").write_text(stamp)
    return program


def test_every_version_is_pinned() -> None:
    for name in INSTALLABLE:
        release = release_of(name)
        packages = list(release.packages)
        if release.registry == "pypi":
            packages = (Path(__file__).parent / release.packages[0]).read_text().splitlines()
        assert all("==" in package or "@" in package[1:] for package in packages)


def test_installed_means_this_version(folder: Path) -> None:
    assert cache_dir() == folder
    assert program_of("gemini") is None
    program = fake_install(folder, "gemini", stamp="\n".join(release_of("gemini").packages))
    assert program_of("gemini") == install("gemini") == program
    (folder / "gemini" / "installed").write_text("@google/gemini-cli@0.1.0")
    assert program_of("gemini") is None


def test_unknown_name_and_missing_npm(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InstallError, match="no agent is called 'nobody'; known: claude"):
        program_of("nobody")
    monkeypatch.setenv("PATH", str(folder))
    assert main(["gemini"]) == 1
    assert "npm is not on PATH" in capsys.readouterr().err
