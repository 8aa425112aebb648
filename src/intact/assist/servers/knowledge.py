"""Tools over documents: search them, quote what answers, read on around a hit, and what the library is made of."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from intact.assist.answers import MAX_ROWS, Cell, ToolAnswer
from intact.assist.asking import Asker, Language
from intact.assist.knowledge.chunks import Chunk, language_of
from intact.assist.knowledge.library import MAX_LIMIT, Library
from intact.assist.tool import Arguments, Parts, Tool, ToolRefused, texts

MAX_QUERY = 400
MAX_AROUND = 5
_PLACE = ("chunk_id", "language", "file", "heading", "first_line", "last_line")
_OF_OTHERS = ("file", "heading", "text")
_CHANGED = "The documents have changed since this was first answered; the rows are those of now."

ChunkId = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]


class _OfLibrary(Arguments):
    revision: str | None = Field(None, max_length=16, description="Of the library; the answer fills it in.")


class Search(_OfLibrary):
    query: str = Field(min_length=1, max_length=MAX_QUERY, description="What is looked for, in Chinese or English.")
    limit: int = Field(5, ge=1, le=MAX_LIMIT, description="At most so many chunks.")
    language: Language | None = Field(None, description="Preferred; default: that of the query.")


class Quote(_OfLibrary):
    query: str = Field(min_length=1, max_length=MAX_QUERY, description="What is asked, in Chinese or English.")
    chunk_ids: list[ChunkId] = Field(min_length=1, max_length=MAX_LIMIT, description="Chunks that `search` gave.")
    limit: int = Field(3, ge=1, le=10, description="At most so many passages a chunk.")


class Read(_OfLibrary):
    chunk_id: ChunkId = Field(description="A chunk that `search` gave.")
    around: int = Field(1, ge=0, le=MAX_AROUND, description="So many chunks before and after it.")


class Sources(_OfLibrary):
    pass


def _library(parts: Parts) -> Library:
    if not isinstance(parts.library, Library):
        raise ToolRefused("no documents are open here")
    return parts.library


def _search(parts: Parts, _: Asker, given: Search) -> ToolAnswer:
    library = _library(parts)
    language = given.language or language_of(given.query)
    found = library.search(given.query, language, given.limit)
    rows = [(rank, *_place(hit.chunk), hit.score, hit.share, hit.chunk.text) for rank, hit in enumerate(found, start=1)]
    return _told(
        library,
        given.model_copy(update={"language": language}),
        "search",
        columns=("rank", *_PLACE, "score", "share", "text"),
        rows=rows,
    )


def _quote(parts: Parts, _: Asker, given: Quote) -> ToolAnswer:
    library = _library(parts)
    found = library.passages(given.query, given.chunk_ids, given.limit)
    rows = [(*_place(each.chunk), each.kind.value, each.text) for each in found]
    return _told(library, given, "quote", columns=(*_PLACE, "kind", "text"), rows=rows)


def _read(parts: Parts, _: Asker, given: Read) -> ToolAnswer:
    library = _library(parts)
    found = library.around(given.chunk_id, given.around)
    if not found:
        raise ToolRefused("there is no such chunk; search again: documents may have changed")
    rows = [(*_place(chunk), chunk.text) for chunk in found]
    return _told(library, given, "read", columns=(*_PLACE, "text"), rows=rows)


def _sources(parts: Parts, _: Asker, given: Sources) -> ToolAnswer:
    library = _library(parts)
    # what was left out first: a bound must not hide it
    found = sorted(library.sources(), key=lambda source: (source.skipped is None, source.file))
    rows = [(s.folder, s.file, s.chunks, s.size, s.read_ns, s.skipped) for s in found]
    clipped = f"{library.clipped} chunks are beyond the bound of the library." if library.clipped else None
    return _told(
        library,
        given,
        "sources",
        columns=("folder", "file", "chunks", "size", "read_ns", "skipped"),
        rows=rows,
        note=clipped,
    )


def _place(chunk: Chunk) -> tuple[Cell, ...]:
    heading = " › ".join(chunk.headings[-2:])
    return chunk.id, chunk.language.value, chunk.file, heading, chunk.first_line, chunk.last_line


def _told(
    library: Library,
    given: _OfLibrary,
    tool: str,
    *,
    columns: tuple[str, ...],
    rows: Sequence[tuple[Cell, ...]],
    note: str | None = None,
) -> ToolAnswer:
    revision = library.revision
    arguments = given.model_dump(mode="json") | {"revision": revision}
    said = " ".join(f"{name}={value!r}" for name, value in arguments.items() if name != "revision")
    changed = _CHANGED if given.revision not in (None, revision) else None
    return ToolAnswer(
        query=f"knowledge.{tool} {said}".strip(),
        arguments=arguments,
        columns=columns,
        rows=tuple(rows[:MAX_ROWS]),
        units={"size": "bytes", "read_ns": "epoch_ns"} if "size" in columns else {},
        untrusted=tuple(name for name in (*_OF_OTHERS, "folder") if name in columns),
        truncated=len(rows) > MAX_ROWS,
        total=len(rows),
        notes=tuple(each for each in (changed, note) if each),
    )


TOOLS: tuple[Tool, ...] = (
    Tool(
        name="search",
        about=texts(
            "Search the documents (Intact's own and the operator's folders) for the passages that answer a question.",
            "在文档（Intact 自带的和运维人员指定目录里的）中检索能回答问题的段落。",
        ),
        says=texts("Search the documents", "检索知识库"),
        arguments=Search,
        run=_search,
        words=("document", "manual", "runbook", "how", "configure", "文档", "手册", "怎么", "配置", "说明"),
    ),
    Tool(
        name="quote",
        about=texts(
            "The sentences, rows and commands of found chunks that answer a question, word for word.",
            "从检索到的段落里逐字摘出能回答问题的句子、表格行和命令。",
        ),
        says=texts("Quote the documents", "摘录文档原文"),
        arguments=Quote,
        run=_quote,
        words=("cite", "excerpt", "command", "引用", "摘录", "命令"),
    ),
    Tool(
        name="read",
        about=texts("Read a found chunk with what stands before and after it.", "阅读检索到的段落及其前后文。"),
        says=texts("Read a document", "阅读文档"),
        arguments=Read,
        run=_read,
        words=("context", "section", "chapter", "上下文", "章节", "全文"),
    ),
    Tool(
        name="sources",
        about=texts(
            "Which folders and files the library holds, when each was read, and what was left out and why.",
            "知识库里有哪些目录和文件、何时读取，以及哪些没有读入、为什么。",
        ),
        says=texts("List the documents", "列出知识库文档"),
        arguments=Sources,
        run=_sources,
        words=("folder", "files", "skipped", "目录", "文件", "跳过"),
    ),
)
