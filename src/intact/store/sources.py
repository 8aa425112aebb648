"""The data sources every store has: which tables can be kept for a time, their names, and which are kept together."""

from dataclasses import dataclass

from intact.store.tables import BY_NAME, DATABASE


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A table with rows that grow old. Ids 27 to 31 are DeepFlow's."""

    id: int
    table: str
    name_en: str
    name_zh: str
    interval_s: int = 0  # rows are events, not sums over an interval

    @property
    def hours(self) -> int:
        """How long its rows are kept unless told otherwise; 0: for ever."""
        return BY_NAME[self.table].hours


# Kept together: what one of them tells, the others explain.
LINKED = ("file_agg_event", "file_mgmt_event", "proc_perm_event", "proc_ops_event", "proc_block_event")

DEFAULT_SOURCES = (
    Source(
        id=27, table="file_agg_event", name_en="Event - file read/write aggregates", name_zh="事件-文件读写聚合事件"
    ),
    Source(id=28, table="file_mgmt_event", name_en="Event - file management", name_zh="事件-文件管理事件"),
    Source(id=29, table="proc_perm_event", name_en="Event - process permissions", name_zh="事件-进程权限事件"),
    Source(id=30, table="proc_ops_event", name_en="Event - process operations", name_zh="事件-进程操作事件"),
    Source(id=31, table="proc_block_event", name_en="Event - process blocking", name_zh="事件-进程阻断事件"),
    Source(id=101, table="file_event", name_en="Event - raw file reads/writes", name_zh="事件-文件读写事件"),
    Source(id=102, table="file_open_event", name_en="Event - file opens", name_zh="事件-文件打开事件"),
    Source(id=103, table="proc_signal_event", name_en="Event - signals", name_zh="事件-进程信号事件"),
    Source(id=104, table="net_event", name_en="Event - network", name_zh="事件-网络事件"),
    Source(id=105, table="host_metric", name_en="Metrics - host", name_zh="指标-主机指标", interval_s=10),
    Source(id=106, table="answer", name_en="Assistant - answers", name_zh="助手-回答"),
    Source(id=107, table="span", name_en="Assistant - its own work", name_zh="助手-自身调用链"),
    Source(id=111, table="llm_call", name_en="Dialogue - model calls", name_zh="对话-模型调用"),
    Source(id=112, table="tool_call", name_en="Dialogue - tool calls", name_zh="对话-工具调用"),
    Source(id=113, table="mcp_call", name_en="Dialogue - MCP calls", name_zh="对话-MCP 调用"),
    Source(id=114, table="agent", name_en="Dialogue - agents", name_zh="对话-智能体"),
    Source(id=115, table="agent_turn", name_en="Dialogue - agent turns", name_zh="对话-智能体轮次"),
    Source(id=116, table="process", name_en="Dialogue - processes", name_zh="对话-进程"),
    Source(id=117, table="link", name_en="Conclusions - causes", name_zh="结论-因果关系"),
    Source(id=118, table="finding", name_en="Conclusions - findings", name_zh="结论-发现"),
    Source(id=119, table="loss", name_en="Ledger - losses", name_zh="账本-丢失"),
    Source(id=120, table="stage_count", name_en="Ledger - counts", name_zh="账本-计数"),
)
BY_TABLE = {source.table: source for source in DEFAULT_SOURCES}
NORMAL, EXCEPTION = 1, 0


def linked(table: str) -> tuple[str, ...]:
    """The tables whose retention changes together with this one's; none if it stands alone."""
    return LINKED if table in LINKED else ()


def insert_sources(rows: list[tuple[Source, int, int]], revision: str) -> str:
    """The one statement, hence one block, that tells hours and state of sources; `revision` is SQL."""
    values = ", ".join(
        f"({source.id}, {revision}, '{source.table}', '{source.name_en}', '{source.name_zh}', {source.interval_s}, {hours}, "
        f"true, {state})"
        for source, hours, state in rows
    )
    return (
        f"INSERT INTO {DATABASE}.data_source (id, revision, table_name, name_en, name_zh, interval_s, retention_hours, "
        f"is_default, state) VALUES {values}"
    )
