"""What can be asked: tables, their tags and metrics, with names, descriptions, units and enumerations in two languages."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from intact.model.errors import UsageError
from intact.query.enums import ENUMERATIONS, Enumeration, Label
from intact.store.tables import TABLES, Column, Table

_SIDES = {"_0": Label(" (client side)", "（客户端）"), "_1": Label(" (server side)", "（服务端）")}
_LENGTH = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """Something rows can be filtered and grouped by: a column, or a name that is translated to one."""

    name: str
    title: Label
    description: Label
    type: str
    unit: str = ""
    enum: str = ""  # key of ENUMERATIONS
    is_column: bool = True

    @property
    def values(self) -> Enumeration:
        return ENUMERATIONS.get(self.enum, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """Something that can be summed up: a column, or 1 for each row."""

    name: str
    title: Label
    type: str  # counter | delay | gauge | other
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A table as the catalogue has it."""

    name: str
    title: Label
    tags: tuple[Tag, ...]
    metrics: tuple[Metric, ...]


TITLES: Mapping[str, Label] = {
    "file_agg_event": Label("File reads and writes, put together", "文件读写聚合事件"),
    "file_event": Label("File reads and writes as they came; off by default", "文件读写事件（原始，默认关闭）"),
    "file_mgmt_event": Label("Files made, deleted, renamed or changed", "文件管理事件"),
    "file_open_event": Label("Files opened", "文件打开事件"),
    "proc_perm_event": Label("Changes of credentials", "进程权限事件"),
    "proc_signal_event": Label("Signals sent to other processes", "进程信号事件"),
    "proc_block_event": Label("What policies met", "进程阻断事件"),
    "proc_ops_event": Label("Processes forked, executed, ended", "进程操作事件"),
    "net_event": Label("Network connections", "网络事件"),
    "process": Label("Processes with their last image", "进程"),
    "llm_call": Label("Calls to models", "模型调用"),
    "llm_content": Label("What was said in calls to models", "模型调用的内容"),
    "tool_call": Label("Tools that models asked for", "工具调用"),
    "mcp_call": Label("MCP requests", "MCP 调用"),
    "agent": Label("Recognised agents", "智能体"),
    "agent_turn": Label("Turns of agents", "智能体轮次"),
    "finding": Label("Findings", "发现"),
    "link": Label("What caused what", "因果关系"),
    "stage_count": Label("What each stage took in and handed on", "各阶段计数"),
    "loss": Label("What is known to be missed", "丢失"),
    "host_metric": Label("Measurements of the host", "主机指标"),
    "answer": Label("Questions that the assistant answered", "助手回答过的问题"),
    "span": Label("The assistant's own work", "助手自身的调用链"),
    "gprocess_map": Label("What a process is, by its id", "进程字典"),
    "run": Label("Recordings", "记录"),
    "manifest": Label("Which segments are in the store", "入库清单"),
    "data_source": Label("Data sources and their retention", "数据源"),
}
# DeepFlow counts events by these names; each row is one
_ROWS = (
    Metric(name="log_count", title=Label("Log Count", "日志总量"), type="counter"),
    Metric(name="row", title=Label("Row Count", "行数"), type="other"),
)
_METRICS: Mapping[str, Mapping[str, str]] = {
    "file_agg_event": {"bytes": "counter", "event_count": "counter", "duration": "delay"},
    "file_event": {"bytes": "counter", "event_count": "counter", "duration": "delay"},
    "net_event": {"sent_bytes": "counter", "received_bytes": "counter"},
    "llm_call": dict.fromkeys(
        (
            *("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
            *("reasoning_output_tokens", "cost_usd", "missing_bytes"),
        ),
        "counter",
    ),
    "loss": {"count": "counter"},
    "stage_count": {"seen": "counter", "passed": "counter"},
    "host_metric": {"value": "gauge"},
    "answer": dict.fromkeys(("struck", "tool_calls", "input_tokens", "output_tokens"), "counter"),
}
_METRIC_TITLES = {("file_agg_event", "duration"): Label("Total Duration", "总持续时间")}
_BIZ_TYPE = Tag(
    name="gprocess.biz_type",
    title=Label("Process Business Type", "进程业务类型"),
    description=Label("Whether the process belongs to an agent", "进程是否属于智能体"),
    type="int_enum",
    enum="biz_type",
    is_column=False,
)


@cache
def catalogue() -> Mapping[str, Entry]:
    """All tables by name."""
    return {table.name: _entry(table) for table in TABLES}


def entry(name: str) -> Entry:
    """One table.

    Raises:
        UsageError: there is no such table.
    """
    found = catalogue().get(name.removeprefix("event."))
    if found is None:
        raise UsageError(f"there is no table {name[:60]!r}; tables: {', '.join(sorted(catalogue()))}")
    return found


def in_language(label: Label, language: str) -> str:
    """A label in `en` or `zh`."""
    return label.zh if language == "zh" else label.en


def as_rows(found: Entry, language: str) -> dict[str, Any]:
    """A table as JSON has it."""
    return {
        "table": found.name,
        "title": in_language(found.title, language),
        "tags": [
            {
                "name": tag.name,
                "title": in_language(tag.title, language),
                "description": in_language(tag.description, language),
                "type": tag.type,
                "unit": tag.unit or None,
                "is_column": tag.is_column,
                "values": {str(value): in_language(label, language) for value, label in tag.values.items()} or None,
            }
            for tag in found.tags
        ],
        "metrics": [
            {
                "name": metric.name,
                "title": in_language(metric.title, language),
                "type": metric.type,
                "unit": metric.unit or None,
            }
            for metric in found.metrics
        ],
    }


@cache
def described() -> Mapping[str, tuple[str, ...]]:
    """The lines of `columns.tsv` by name."""
    text = resources.files("intact.query").joinpath("columns.tsv").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {parts[0]: tuple(parts) for line in lines if (parts := [*line.split("\t"), *[""] * _LENGTH][:_LENGTH])}


def line_of(table: str, column: str) -> tuple[str, Label | None]:
    """Which line of `columns.tsv` tells of a column, and of which side it is."""
    for name in (f"{table}.{column}", column):
        if name in described():
            return name, None
    side = _SIDES.get(column[-2:])
    if side is not None and column[:-2] in described():
        return column[:-2], side
    raise KeyError(f"{table}.{column} is not in columns.tsv")


def _entry(table: Table) -> Entry:
    tags = [_tag(table.name, column) for column in table.columns if column.default != "EPHEMERAL"]
    names = {tag.name for tag in tags}
    for suffix in ("", *_SIDES):
        if f"gprocess_id{suffix}" in names:
            tags.append(_dotted(suffix))
    counted = tuple(
        Metric(
            name=name,
            title=_METRIC_TITLES.get((table.name, name)) or next(tag.title for tag in tags if tag.name == name),
            type=kind,
            unit=next(tag.unit for tag in tags if tag.name == name),
        )
        for name, kind in _METRICS.get(table.name, {}).items()
    )
    return Entry(name=table.name, title=TITLES[table.name], tags=tuple(tags), metrics=(*_ROWS, *counted))


def _tag(table: str, column: Column) -> Tag:
    name, side = line_of(table, column.name)
    _, en, zh, description_en, description_zh, unit, enum = described()[name]
    title = Label(en + side.en, zh + side.zh) if side else Label(en, zh)
    return Tag(
        name=column.name,
        title=title,
        description=Label(description_en, description_zh),
        type=column.type,
        unit=unit,
        enum=enum,
    )


def _dotted(suffix: str) -> Tag:
    side = _SIDES.get(suffix, Label("", ""))
    return Tag(
        name=_BIZ_TYPE.name + suffix,
        title=Label(_BIZ_TYPE.title.en + side.en, _BIZ_TYPE.title.zh + side.zh),
        description=_BIZ_TYPE.description,
        type=_BIZ_TYPE.type,
        enum=_BIZ_TYPE.enum,
        is_column=False,
    )
