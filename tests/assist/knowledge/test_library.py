"""A library follows its folders, whatever is in them, and never leaves them."""

import os
import threading
import time
from pathlib import Path

import pytest

from intact.assist.asking import Language
from intact.assist.knowledge import library as library_module
from intact.assist.knowledge.library import Library


def lib(*folders: Path, cache: Path | None = None) -> Library:
    return Library(folders, cache, own=False)


def skipped(library: Library) -> dict[str, str]:
    return {source.file: source.skipped for source in library.sources() if source.skipped}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "runbooks"
    path.mkdir()
    (path / "disk.md").write_text("# Disk\n\n## Full disk\n\nDelete old journals with `journalctl --vacuum-size=1G`.\n")
    (path / "net.zh.md").write_text("# 网络\n\n## 端口不通\n\n先用 `ss -ltnp` 看端口有没有监听，再看防火墙。\n")
    return path


def test_it_finds_in_either_language(folder: Path) -> None:
    library = lib(folder)
    assert library.search("磁盘满了怎么办", Language.ZH)[0].chunk.headings == ("Disk", "Full disk")
    assert library.search("port is closed, check the firewall", Language.EN)[0].chunk.file == "runbooks/net.zh.md"
    hit = library.search("端口不通", Language.ZH)[0].chunk
    assert (hit.first_line, hit.last_line, hit.language) == (5, 5, Language.ZH)
    assert library.chunk(hit.id) == hit


def test_it_follows_changes_and_only_then_gets_another_revision(folder: Path) -> None:
    library = lib(folder)
    before = library.revision
    assert not library.refresh()
    assert library.revision == before
    (folder / "new.txt").write_text("The mirror is rebuilt by the quartz job.")
    (folder / "disk.md").unlink()
    assert library.refresh()
    assert library.revision != before
    assert library.search("quartz", Language.EN)[0].chunk.file == "runbooks/new.txt"
    assert not library.search("journals", Language.EN)


def test_a_change_is_seen_by_the_next_search_after_a_while(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_module, "LOOK_AGAIN_S", 0.0)
    library = lib(folder)
    (folder / "disk.md").write_text("# Disk\n\nReplace the platypus.\n")
    assert library.search("platypus", Language.EN)


def test_what_was_read_is_kept_and_trusted_only_while_the_file_is_the_same(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "kept"
    first = lib(folder, cache=cache)
    kept = cache / "knowledge.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    again = lib(folder, cache=cache)
    assert again.sources() == first.sources()  # also when each was read
    (folder / "disk.md").write_text("# Disk\n\nquokka\n")
    assert lib(folder, cache=cache).search("quokka", Language.EN)
    for broken in ("", "{", "[]", '{"format": 1}', '{"format": 1, "files": {"a": {}}}'):
        kept.write_text(broken)
        assert lib(folder, cache=cache).search("quokka", Language.EN)


def test_a_cache_that_cannot_be_written_changes_nothing(folder: Path) -> None:
    assert lib(folder, cache=Path("/proc/nowhere")).search("journals", Language.EN)


def test_nothing_outside_of_a_folder_is_read(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("the wombat password is 12345")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "more.md").write_text("wombat")
    (folder / "link.md").symlink_to(secret)
    (folder / "up.md").symlink_to("../secret.md")
    (folder / "directory").symlink_to(tmp_path / "elsewhere")
    (folder / "loop.md").symlink_to("loop.md")
    (folder / "within.md").symlink_to("disk.md")
    os.mkfifo(folder / "pipe.md")
    library = lib(folder)
    assert not library.search("wombat", Language.EN)
    assert skipped(library) == {
        "runbooks/link.md": "a link out of the folder",
        "runbooks/up.md": "a link out of the folder",
        "runbooks/loop.md": "cannot be read",
        "runbooks/pipe.md": "no file",
    }


def test_hostile_files_are_told_and_stop_nothing(folder: Path) -> None:
    (folder / "line.md").write_text("x" * (10 << 20))
    (folder / "wide.md").write_text("y " * (1 << 20))
    (folder / "binary.md").write_bytes(b"# Title\n\0\1\2")
    (folder / "broken.md").write_bytes(b"# Broken\n\nnumbat \xff\xfe\xc3( text\n")
    (folder / "gbk.txt").write_bytes("海豚手册：先停机，再换盘。".encode("gb18030"))
    (folder / "wide.txt").write_bytes("utf-16 echidna".encode("utf-16"))
    (folder / "latin.txt").write_bytes("un café à la carte, déjà vu".encode("latin-1"))
    (folder / "deep.html").write_text("<div>" * 200_000 + "<p>the kakapo is deep down</p>" + "</div>" * 200_000)
    (folder / "script.html").write_text(
        "<script>alert('tapir')</script><p onload=tapir()>visible text</p><!-- tapir -->"
    )
    (folder / "escape.md").write_bytes("# \x1b[31mred\x1b[0m\n\nbell \x07 and \u202egnihton\n".encode())
    (folder / "image.png").write_bytes(b"\x89PNG")
    (folder / "empty.md").write_text("")
    library = lib(folder)
    assert skipped(library) == {
        "runbooks/line.md": "larger than 4 MiB",
        "runbooks/binary.md": "no text",
    }
    assert library.search("numbat", Language.EN)
    assert library.search("海豚", Language.ZH)[0].chunk.file == "runbooks/gbk.txt"
    assert library.search("echidna", Language.EN)
    assert library.search("kakapo", Language.EN)
    assert not library.search("tapir", Language.EN)
    shown = library.search("bell", Language.EN)[0].chunk
    assert not any((ord(c) < 32 and c != "\n") or c in "\u202e\x1b" for c in shown.text + "".join(shown.headings))


def test_bounds_bite_and_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_module, "MAX_CHUNKS", 10)
    (folder / "many.md").write_text("".join(f"# Heading {n}\n\ntext {n}\n\n" for n in range(50)))
    library = lib(folder)
    assert sum(source.chunks for source in library.sources()) == 10
    assert library.clipped > 0
    assert "the library is full" in " ".join(skipped(library).values())


def test_deep_folders_end(tmp_path: Path) -> None:
    deep = tmp_path / "deep"
    where = deep
    for _ in range(40):
        where /= "d"
    where.mkdir(parents=True)
    (where / "far.md").write_text("far away")
    (deep / "near.md").write_text("near")
    assert [source.file for source in lib(deep).sources()] == ["deep/near.md"]


def test_folders_of_one_name_and_folders_that_are_not_there(tmp_path: Path) -> None:
    for parent in ("a", "b"):
        (tmp_path / parent / "docs").mkdir(parents=True)
        (tmp_path / parent / "docs" / "x.md").write_text(f"from {parent}")
    library = lib(tmp_path / "a" / "docs", tmp_path / "b" / "docs", tmp_path / "gone")
    assert [source.file for source in library.sources()] == ["docs-2/x.md", "docs/x.md", "gone"]
    assert skipped(library) == {"gone": "no such folder"}


def test_threads_search_while_files_change(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_module, "LOOK_AGAIN_S", 0.0)
    library = lib(folder)
    problems: list[BaseException] = []
    stop = threading.Event()

    def search() -> None:
        try:
            while not stop.is_set():
                for hit in library.search("磁盘 disk journals", Language.ZH):
                    assert hit.chunk.text
                library.sources()
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(20):
        (folder / "disk.md").write_text(f"# Disk\n\njournals {'again ' * number}\n")
        library.refresh()
    stop.set()
    for thread in threads:
        thread.join()
    assert not problems


def test_the_documents_of_intact_are_there_from_the_start_and_open_quickly(tmp_path: Path) -> None:
    Library(cache=tmp_path)
    began = time.process_time()
    library = Library(cache=tmp_path)
    assert time.process_time() - began < 1.0
    assert {source.file for source in library.sources()} >= {"intact/README.md", "intact/docs/sensor.md"}
    assert library.search("what is a claim of cause", Language.EN)


def test_odd_questions_are_answered_with_what_there_is(folder: Path) -> None:
    library = lib(folder)
    for text in ("", " ", "？？？", "的", "a", "\x00", "x" * 5_000, "磁盘" * 2_000, "---", "($%^", "\U0001f600"):
        library.search(text, Language.EN, 1_000)
    assert not lib().search("anything", Language.EN)
