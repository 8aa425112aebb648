"""What a question about a host asks for, zh and en: topics by a table of patterns, and what it is asked of."""

import re
from dataclasses import dataclass

from intact.assist.asking import Question
from intact.assist.understand.entities import Entities, entities
from intact.assist.understand.numerals import number_of
from intact.assist.understand.times import TimeRange, time_range

# In the order in which a question that has several is answered; the first of a group of alternatives wins.
_TOPICS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("diagnose", (
        r"诊断|排查|怎么了|(?:有|哪里|什么|啥)(?:没有)?(?:出)?(?:问题|故障|毛病)|是否(?:正常|健康)|正常吗|健康|根因|故障",
        r"(?:机器|主机|服务器|系统|本机)[^，。？]{0,8}异常|异常[^，。？]{0,6}(?:机器|主机|服务器)",
        r"卡顿|[很变好太真]慢|[很变好太真点]卡|卡[死住了]|反应慢|diagnos",
        r"what(?:'s| is) wrong|wrong with|root cause|\bslow\b|health|trouble",
        r"any (?:problem|issue)|problems? (?:on|with)|unhealthy|misbehav",
    )),
    ("baseline", (r"基线|偏离|突变|异常指标|指标异常|baseline|unusual|anomal|deviat",)),
    ("deleted_files", (r"已删除|删除(?:了)?(?:但|却|仍|还)|deleted (?:but|file)|still open",)),
    ("growing_files", (r"增长最快|在增长|变大的文件|growing",)),
    ("error_logs", (r"错误日志|日志|报错|错误(?:信息|记录)?|error ?logs?|\berrors?\b|\blogs?\b|journal|dmesg|syslog",)),
    ("services", (
        r"系统服务|服务(?:列表|状态|失败)|哪些服务|失败的服务|systemd|failed (?:units?|services?)|\bservices?\b",
    )),
    ("interfaces", (r"网卡|网口|interfaces?\b|\bnics?\b|丢包|dropped packets",)),
    ("traffic", (r"网络流量|带宽|网速|network (?:traffic|rate|throughput)|bandwidth",)),
    ("connections", (
        r"连接(?:数|状态|情况)|多少(?:个)?(?:tcp ?)?连接|established|close.?wait|time.?wait|\bconnections?\b",
    )),
    ("ports", (r"端口|监听|listening|listens?\b|\bports?\b",)),
    ("inodes", (r"inode|索引节点",)),
    ("zombies", (r"僵尸|zombies?",)),
    ("process_count", (
        r"多少(?:个)?进程|进程(?:总)?数|几个进程|进程有多少|how many process|number of process|process count",
    )),
    ("thread_count", (r"多少(?:个)?线程|线程(?:总)?数|how many threads|number of threads|thread count",)),
    ("fds", (
        r"句柄|文件描述符|打开(?:了)?(?:多少|的)文件|\bfds?\b|file (?:descriptors?|handles?)|open files|descriptors",
    )),
    ("disk_io", (
        r"磁盘(?:的)?(?:读写|io|i/o)|(?:读写|io)(?:速率|速度|情况)|\biops?\b",
        r"disk (?:io|i/o|read|write|throughput|activity)",
    )),
    ("space", (
        r"磁盘|硬盘|空间|容量|分区|挂载|文件系统|\bdf\b|\bdisks?\b|space|storage|mounts?\b|file ?systems?|partition",
    )),
    ("swap", (r"swap|交换(?:分区|区|空间|内存)",)),
    ("pressure", (r"压力|\bpsi\b|pressure",)),
    ("uptime", (
        r"(?:运行|开机|启动)(?:了)?(?:多久|多长时间|时间|时长)|什么时候(?:启动|开机)|boot(?:ed)? time|when .{0,20}boot",
        r"uptime|how long .{0,30}(?:up|running)|last boot",
    )),
    ("cpu_count", (
        r"(?:几|多少)(?:个)?(?:核|cpu|处理器|内核)|核数|核心数|cpu ?(?:数|个数)|number of (?:cpus?|cores?|processors?)",
        r"how many (?:cpus?|cores?|processors?)",
    )),
    ("load", (r"负载|\bload\b",)),
    ("memory", (r"内存|memory|\bram\b",)),
    ("cpu", (r"cpu|处理器|processor",)),
    ("processes", (r"进程|\bprocess(?:es)?\b|\bps\b|\btop\b",)),
    ("hostname", (r"主机名|机器名|hostname|name of (?:this|the) (?:host|machine)",)),
    ("overview", (
        r"概况|概览|总体|整体|(?:主机|服务器|机器|系统)(?:的)?(?:状态|情况|指标)|核心指标|overview|host metrics",
        r"status of (?:this|the) (?:host|machine)|how is (?:this|the|my) (?:host|machine|server)",
    )),
)  # fmt: skip
_PATTERNS = tuple((name, re.compile("|".join(patterns), re.IGNORECASE)) for name, patterns in _TOPICS)
_TOP = re.compile(
    r"最(?:高|多|大|占|耗|吃|久|老)|占用(?:最|前|排名)|前[\d一二三四五六七八九十]+|排行|排名|哪个进程|哪些进程|什么进程|谁"
    r"|\btop\b|\bmost\b|biggest|largest|highest|heaviest|which process|what process|who\b|hungriest|oldest",
    re.IGNORECASE,
)
_FIRST = re.compile(r"(?:前|top ?)([\d一二三四五六七八九十]{1,3})", re.IGNORECASE)
_PROCESS = re.compile(r"进程|\bprocess(?:es)?\b|程序|谁|\bwho\b|programs?", re.IGNORECASE)
_PEAK = re.compile(r"峰值|最高|最大|peak|highest|max(?:imum)?", re.IGNORECASE)
_LEAST = re.compile(r"最低|最小|lowest|min(?:imum)?", re.IGNORECASE)
_PORT = re.compile(
    r"(?:端口|port)\s*[:：]?\s*(\d{1,5})|[:：](\d{2,5})\b|\b(\d{2,5})\s*(?:号)?(?:端口|port)", re.IGNORECASE
)
_HOST = re.compile(
    r"主机|服务器|本机|机器|这台|系统|\bhosts?\b|\bserver\b|\bmachine\b|\bbox\b|\bthis system\b", re.IGNORECASE
)
_AGENTS = re.compile(
    r"智能体|代理|\bagents?\b|大模型|模型|llm|token|工具调用|tool calls?|\bruns?\b|会话|recording|运行记录|费用|成本|\bcosts?\b"
    r"|spend|删(?:了|掉)|改(?:了|过)|谁(?:动|改|删)|\bwhy did\b|prompt|findings?|策略|polic",
    re.IGNORECASE,
)
_DOCUMENTS = re.compile(
    r"什么是|是什么意思|怎么(?:配置|安装|使用|启用)|如何|文档|区别|what is an? |what does .* mean|how (?:do|to|can) |explain"
    r"|\bdocs?\b",
    re.IGNORECASE,
)
_SPACES = re.compile(r"(?<=[\u4e00-\u9fff])\s+|\s+(?=[\u4e00-\u9fff])")  # 几个 CPU is 几个CPU
# web-1, db-02: what machines are called where they are many
_NUMBERED_HOST = re.compile(
    r"(?<![\w./-])([a-z][a-z0-9]{1,30}(?:-[a-z0-9]{1,30}){0,3}-\d{1,4})(?![\w.-])", re.IGNORECASE | re.ASCII
)
_NO_HOSTS = frozenset({"utf", "sha", "python", "level", "top", "port", "pid", "x86", "md", "ipv", "tcp", "http", "iso"})
_LOOPBACK = ("127.", "::1", "localhost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a question wants to know of a host.

    Args:
        topics: names out of the table, in its order.
        of_processes: which processes are at the top of something, not how much there is of it.
        how: `mean`, `most` or `least` over a range of time.
    """

    topics: tuple[str, ...]
    of_processes: bool
    named: Entities
    range: TimeRange | None
    how: str
    port: int
    hosts: tuple[str, ...]
    limit: int | None


def asked(question: Question) -> Asked:
    """Understand a question."""
    text = question.text[:4_000]
    range_ = time_range(text, question.asked_ns)
    bare = _SPACES.sub("", text if range_ is None else text.replace(range_.text, " "))
    named = entities(text if range_ is None else text.replace(range_.text, " "))
    topics = tuple(name for name, pattern in _PATTERNS if pattern.search(bare))
    port = _PORT.search(bare)
    number = int(next((group for group in port.groups() if group), "0")) if port else 0
    hosts = [host for host in named.hosts if not host.startswith(_LOOPBACK) and ":" not in host and "/" not in host]
    hosts += [
        host
        for host in _NUMBERED_HOST.findall(bare)
        if host.split("-")[0].lower() not in _NO_HOSTS and host not in named.models
    ]
    return Asked(
        topics=_without_weaker(topics),
        of_processes=bool(_TOP.search(bare)) and ("processes" in topics or bool(_PROCESS.search(bare))),
        named=named,
        range=range_,
        how="most" if _PEAK.search(bare) else "least" if _LEAST.search(bare) else "mean",
        port=number if 0 < number < 65_536 else 0,
        hosts=tuple(dict.fromkeys(hosts)),
        limit=named.limit or _limit(bare),
    )


def _limit(text: str) -> int | None:
    found = _FIRST.search(text)
    number = number_of(found[1]) if found else None
    return int(number) if number and 0 < number <= 100 else None


# What a topic takes the place of, since its words hold the other's.
_STRONGER: dict[str, tuple[str, ...]] = {
    "diagnose": ("overview", "processes", "error_logs", "services", "cpu", "memory", "load", "hostname"),
    "swap": ("memory", "space"),
    "inodes": ("space",),
    "disk_io": ("space",),
    "cpu_count": ("cpu",),
    "zombies": ("processes", "process_count"),
    "process_count": ("processes",),
    "thread_count": ("processes",),
    "fds": ("processes",),
    "traffic": ("interfaces",),
    "deleted_files": ("space", "fds"),
    "growing_files": ("space", "fds"),
    "pressure": ("cpu", "memory", "disk_io"),
}


def _without_weaker(topics: tuple[str, ...]) -> tuple[str, ...]:
    weaker = {other for topic in topics for other in _STRONGER.get(topic, ())}
    return tuple(topic for topic in topics if topic not in weaker)


def weight_of(question: Question) -> float:
    """How well a question fits the expert of hosts."""
    text = question.text[:4_000]
    topics = asked(question).topics
    if not topics:
        return 0.2 if _HOST.search(text) else 0.0
    found = 0.75 if topics != ("error_logs",) and topics != ("processes",) else 0.55
    if "diagnose" in topics:
        found = 0.8
    if _HOST.search(text):
        found += 0.15
    if _AGENTS.search(text):
        found -= 0.5
    if _DOCUMENTS.search(text):
        found -= 0.4
    return min(max(found, 0.0), 1.0)
