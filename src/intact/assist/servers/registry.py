"""Which tool servers there are. To add one: one file with `TOOLS`, one line here."""

import importlib
from dataclasses import dataclass

from intact.assist.tool import Texts, Tool, texts
from intact.query.row_limits import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSpec:
    """One server: its name is the audience of tokens, and the first part of the names of its tools."""

    name: str
    about: Texts
    module: str  # holds TOOLS; imported when it is needed


SERVERS = (
    ServerSpec(
        name="agents",
        about=texts(
            "What AI agents did and why: runs, calls, effects, causes, findings, cost.",
            "智能体做了什么、为什么做：运行、调用、影响、起因、发现与费用。",
        ),
        module="intact.assist.servers.agents",
    ),
    ServerSpec(
        name="query",
        about=texts(
            "Read-only SQL over what was recorded, and its catalogue.",
            "只读 SQL 查询与数据目录。",
        ),
        module="intact.assist.servers.query",
    ),
    ServerSpec(
        name="host",
        about=texts(
            "Hosts as they are and were: space, metrics, processes, errors, network, services.",
            "主机现状与历史：磁盘、指标、进程、错误日志、网络与服务。",
        ),
        module="intact.assist.servers.host",
    ),
    ServerSpec(
        name="knowledge",
        about=texts(
            "Documents, with the place that is cited.",
            "知识库文档检索，附引用出处。",
        ),
        module="intact.assist.servers.knowledge",
    ),
)


def tools_of(server: ServerSpec) -> tuple[Tool, ...]:
    """The tools of a server, in the order they are offered in."""
    tools: tuple[Tool, ...] = importlib.import_module(server.module).TOOLS
    return tuple(sorted(tools, key=lambda tool: tool.name))


def tool_named(name: str) -> Tool | None:
    """The tool that `server.tool` names; None if it is none of ours."""
    server, _, tool = name.partition(".")
    found = [each for spec in SERVERS if spec.name == server for each in tools_of(spec) if each.name == tool]
    return found[0] if found else None


def may_use(tool: Tool, role: Role) -> bool:
    """Whether a role may see a tool and call it; whoever owns the data directory may all."""
    return not tool.roles or role is Role.OWNER or role.value in tool.roles
