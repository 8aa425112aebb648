"""The real tools as a model is given them: how much at the start, and whether the search finds the others."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import tiktoken
from langchain_core.utils.function_calling import convert_to_openai_tool

from intact.assist.case import Work, WorkingCase
from intact.assist.expert import Expert
from intact.assist.experts.registry import load_experts
from intact.assist.explore.toolbox import FIND, Toolbox
from intact.assist.servers.registry import SERVERS, tool_named, tools_of
from intact.assist.settings import Bounds
from tests.assist.executor.scene import ALICE, Offered, Pool, question

EXPERTS = load_experts()
MAX_TOKENS = 2_000
_VOCABULARIES = Path("~/.cache/intact-agents").expanduser()
_SEARCHES = {
    "disk space": "host.system_space",
    "磁盘空间": "host.system_space",
    "error logs": "host.error_logs",
    "错误日志": "host.error_logs",
    "which process uses most cpu": "host.processes",
    "进程": "host.processes",
    "open file descriptors": "host.open_files",
    "network connections of the host": "host.network",
    "cost of an agent": "agents.cost",
    "费用": "agents.cost",
    "why was a file deleted": "agents.why",
    "files an agent changed": "agents.files_changed",
    "risky": "agents.risk",
    "search documents": "knowledge.search",
    "文档": "knowledge.search",
    "run SQL": "query.sql",
    "tables": "query.tables",
    "services": "host.services",
}


def all_tools() -> dict[str, Offered]:
    return {
        f"{server.name}.{tool.name}": Offered(
            full_name=f"{server.name}.{tool.name}", about=tool.about[question().language],
            schema=tool.arguments.model_json_schema(),
        )
        for server in SERVERS
        for tool in tools_of(server)
    }  # fmt: skip


def toolbox_of(expert: Expert | None, *, has_search: bool = True) -> Toolbox:
    work = Work(pool=Pool(), tools=all_tools(), bounds=Bounds(), tell=lambda _: None, ours=tool_named)
    case = WorkingCase(question(), ALICE, work)
    if not has_search and expert is not None:
        case.limit_tools(expert.tools)
    return Toolbox(case, expert.tools if expert is not None else (), has_search=has_search)


@pytest.fixture(scope="module")
def count_tokens() -> Any:
    """Tokens as cl100k counts them; its vocabulary lies beside one of the agents that are tested."""
    found = sorted(_VOCABULARIES.glob("litellm/lib/python*/site-packages/litellm/litellm_core_utils/tokenizers"))
    if not found:
        pytest.skip("no vocabulary of cl100k here; `python -m tests.agents.install litellm` brings it")
    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(found[0])
    try:
        encoding = tiktoken.get_encoding("cl100k_base")
    finally:
        if before is None:
            del os.environ["TIKTOKEN_CACHE_DIR"]
        else:
            os.environ["TIKTOKEN_CACHE_DIR"] = before
    return lambda text: len(encoding.encode(text))


def schemas_of(toolbox: Toolbox) -> str:
    return json.dumps([convert_to_openai_tool(tool) for tool in toolbox.listed], ensure_ascii=False)


def test_there_are_many_tools() -> None:
    assert len(all_tools()) >= 25


@pytest.mark.parametrize("expert", [*EXPERTS, None], ids=lambda each: each.id if each is not None else "none")
def test_the_schemas_at_the_start_are_few(expert: Expert | None, count_tokens: Any) -> None:
    toolbox = toolbox_of(expert)
    tokens = count_tokens(schemas_of(toolbox))
    print(f"{expert.id if expert is not None else 'no expert'}: {len(toolbox.listed)} tools, {tokens} tokens")
    assert tokens <= MAX_TOKENS
    assert toolbox.listed[0].name == FIND
    assert expert is None or len(toolbox.listed) >= 4


@pytest.mark.parametrize("expert", EXPERTS, ids=lambda each: each.id)
def test_an_expert_has_a_few_tools_and_all_of_them_are_there(expert: Expert) -> None:
    assert 3 <= len(expert.tools) <= 10
    assert set(expert.tools) <= set(all_tools())
    names = [tool.name for tool in toolbox_of(expert, has_search=False).listed]
    assert names == [tool.replace(".", "_") for tool in expert.tools]


@pytest.mark.parametrize(("words", "tool"), _SEARCHES.items())
def test_the_search_finds(words: str, tool: str) -> None:
    toolbox = toolbox_of(None)
    found = [each["name"] for each in toolbox.find(words)["found"]]
    assert tool.replace(".", "_") in found
    assert toolbox.offered(tool.replace(".", "_")) is not None


def test_a_tool_that_was_not_listed_cannot_be_called() -> None:
    assert toolbox_of(None).offered("host_processes") is None


def test_the_moment_of_the_question_is_not_for_a_model_to_set() -> None:
    toolbox = toolbox_of(next(each for each in EXPERTS if "host.processes" in each.tools), has_search=False)
    assert '"at_ns"' not in schemas_of(toolbox)
