"""What the host expert says of each fault, in both languages; every number in it is a cell of evidence."""

from dataclasses import dataclass

from intact.assist.asking import Language
from intact.assist.diagnosis.hypothesis import Fault

EN, ZH = Language.EN, Language.ZH


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What is said of a fault: `{object}` and the names of its quantities stand for values.

    Args:
        name: of the fault.
        found: one sentence.
        remedy: what a person may do; we do nothing.
    """

    name: dict[Language, str]
    found: dict[Language, str]
    remedy: dict[Language, str]


def _words(name: tuple[str, str], found: tuple[str, str], remedy: tuple[str, str]) -> Words:
    return Words(
        name={EN: name[0], ZH: name[1]}, found={EN: found[0], ZH: found[1]}, remedy={EN: remedy[0], ZH: remedy[1]}
    )


WORDS: dict[Fault, Words] = {
    Fault.CPU_HOG: _words(
        ("CPU hog", "CPU 占满"),
        (
            "{object} computes without a pause: it wants {cpu_demand} cores and gets {cpu_used}",
            "进程 {object} 持续占用 CPU 不让出：需要 {cpu_demand} 核，实际用到 {cpu_used} 核",
        ),
        ("look at what it computes, or limit its share", "确认它在算什么，必要时限制其 CPU 配额"),
    ),
    Fault.CPU_SHORTAGE: _words(
        ("CPU shortage", "CPU 不足"),
        ("the processors are busy at {cpu_busy}, load {load_1m}", "CPU 使用率 {cpu_busy}，1 分钟负载 {load_1m}"),
        ("spread the work, or add processors", "分散负载或扩容"),
    ),
    Fault.MEMORY_LEAK: _words(
        ("memory leak", "内存泄漏"),
        (
            "the memory of {object} grows by {rss_growth} a second; it has {rss}, and memory is used up in {time_left} s",
            "进程 {object} 的内存每秒增长 {rss_growth}，已占 {rss}，照此约 {time_left} 秒后耗尽",
        ),
        ("restart it before that, and look for what it keeps", "在耗尽前安排重启，并排查未释放的对象"),
    ),
    Fault.MEMORY_PRESSURE: _words(
        ("memory pressure", "内存紧张"),
        (
            "memory of {object} is nearly used up: {memory_used}{memory_used_percent}",
            "{object} 的内存接近用尽：{memory_used}{memory_used_percent}",
        ),
        ("free memory, or raise the limit", "释放内存或提高限额"),
    ),
    Fault.OOM_KILL: _words(
        ("killed for want of memory", "内存不足被杀（OOM）"),
        (
            "processes in {object} were killed for want of memory: {oom_kills}{oom_lines} times",
            "{object} 中有进程因内存不足被内核杀掉：{oom_kills}{oom_lines} 次",
        ),
        ("raise the limit of memory, or make the program need less", "提高内存限额，或降低程序内存用量"),
    ),
    Fault.DISK_FULL: _words(
        ("disk full", "磁盘写满"),
        (
            "the file system {object} is {space_used} full, {space_free} are left",
            "文件系统 {object} 已用 {space_used}，仅剩 {space_free}",
        ),
        ("remove or move what is not needed", "清理或迁移不需要的文件，或扩容"),
    ),
    Fault.INODES_EXHAUSTED: _words(
        ("no inodes left", "inode 耗尽"),
        (
            "the file system {object} has used {inodes_used} of its {inodes} inodes",
            "文件系统 {object} 的 inode 已用 {inodes_used}（共 {inodes} 个）",
        ),
        ("remove small files; bytes are not what is missing", "清理大量小文件；缺的不是容量"),
    ),
    Fault.FILE_GROWTH: _words(
        ("file fills the disk", "文件快速增长"),
        (
            "the file {object} grows by {growth} a second and fills its file system in {time_left} s",
            "文件 {object} 每秒增长 {growth}，约 {time_left} 秒后写满所在文件系统",
        ),
        ("stop who writes it", "停止写入方"),
    ),
    Fault.LOG_STORM: _words(
        ("log storm", "日志风暴"),
        (
            "the log {object} is written without measure: {growth} a second, size {size}",
            "日志 {object} 疯狂写入：每秒 {growth}，当前大小 {size}",
        ),
        ("find what it repeats, stop that, and rotate the log", "找到重复输出的原因并停掉，随后轮转日志"),
    ),
    Fault.DELETED_OPEN_FILE: _words(
        ("deleted file still open", "已删除文件仍占空间"),
        (
            "the file {object} is deleted but still open: {size}, {deleted_share} of the file system",
            "文件 {object} 已删除但仍被打开：占 {size}，为文件系统的 {deleted_share}",
        ),
        ("restart or reload who holds it, and the room is free", "重启或重载占用它的进程即可释放空间"),
    ),
    Fault.READ_ONLY_MOUNT: _words(
        ("file system read-only", "文件系统只读"),
        (
            "the file system {object} is read-only, and {read_only_lines} lines tell of writes that failed",
            "文件系统 {object} 为只读，日志中有 {read_only_lines} 行写入失败",
        ),
        ("find out why it was remounted; then remount it writable", "先查明转为只读的原因，再重新挂载为可写"),
    ),
    Fault.IO_HOG: _words(
        ("IO hog", "磁盘 IO 占满"),
        (
            "{object} reads and writes {io} a second without a pause",
            "进程 {object} 持续读写磁盘，每秒 {io}",
        ),
        ("limit or move what it does", "限速或错峰执行"),
    ),
    Fault.DEVICE_ERRORS: _words(
        ("device errors", "设备 IO 错误"),
        ("{object} tells of {lines} recent errors of devices", "{object} 近期有 {lines} 行设备 IO 错误"),
        ("save the data, and check the device", "尽快备份数据并检查设备"),
    ),
    Fault.DESCRIPTOR_LEAK: _words(
        ("descriptor leak", "文件描述符泄漏"),
        (
            "{object} has {fds} files open of {fds_limit} it may have ({fds_used})",
            "进程 {object} 已打开 {fds} 个文件描述符，上限 {fds_limit}（{fds_used}）",
        ),
        (
            "look for what it opens and never closes; raising the limit only wins time",
            "排查只开不关的句柄；提高上限只是争取时间",
        ),
    ),
    Fault.ZOMBIE_FLOOD: _words(
        ("zombies", "僵尸进程堆积"),
        ("{object} does not wait for its children: {zombies} zombies", "进程 {object} 不回收子进程：僵尸 {zombies} 个"),
        ("restart the parent: zombies themselves cannot be killed", "重启父进程；僵尸本身无法被杀死"),
    ),
    Fault.THREAD_FLOOD: _words(
        ("thread flood", "线程暴涨"),
        (
            "{object} starts thread after thread: {threads} now, {threads_growth} more each second",
            "进程 {object} 不断创建线程：当前 {threads} 个，每秒新增 {threads_growth} 个",
        ),
        ("limit its pool", "限制线程池"),
    ),
    Fault.FORK_FLOOD: _words(
        ("fork flood", "进程暴涨"),
        (
            "{object} starts process after process: {children} children now, {children_growth} more each second",
            "进程 {object} 不断派生子进程：当前 {children} 个，每秒新增 {children_growth} 个",
        ),
        ("stop it, and limit the number of its processes", "停掉它并限制其进程数"),
    ),
    Fault.PROCESS_LIMIT: _words(
        ("process limit", "进程数将达上限"),
        (
            "{object} has used {processes_used} of the {processes_limit} processes it may have",
            "{object} 的进程数已用 {processes_used}（上限 {processes_limit}）",
        ),
        ("end what is not needed, or raise the limit", "结束不需要的进程或提高上限"),
    ),
    Fault.STUCK_PROCESS: _words(
        ("process stuck", "进程卡死"),
        (
            "{object} did not move at all for {stuck_for} s: it is stopped or waits for a device",
            "进程 {object} 在观察的 {stuck_for} 秒内毫无进展：已被暂停或在等待设备",
        ),
        (
            "continue it if it was stopped; else look at the device it waits for",
            "若是被暂停则恢复它；否则检查其等待的设备",
        ),
    ),
    Fault.CRASHES: _words(
        ("crashes", "程序崩溃"),
        ("{object} tells of {lines} recent crashes", "{object} 近期有 {lines} 行崩溃记录"),
        ("look at the last lines and at core files", "查看最近日志与 core 文件"),
    ),
    Fault.REFUSED_PORT: _words(
        ("port refuses", "端口拒绝连接"),
        (
            "nobody listens on {object}, and {refused_lines} recent lines tell of refused connections",
            "{object} 无人监听，日志近期有 {refused_lines} 行连接被拒绝",
        ),
        ("start the service that should listen there", "启动本应监听该端口的服务"),
    ),
    Fault.LISTEN_OVERFLOW: _words(
        ("listen queue full", "监听队列溢出"),
        (
            "the queue of {object} is full: {queued} connections wait, {backlog} may",
            "{object} 的监听队列已满：{queued} 个连接在等，容量 {backlog}",
        ),
        ("look at why the service does not accept", "排查服务为何不接收连接"),
    ),
    Fault.CONNECTION_LEAK: _words(
        ("connection leak", "连接泄漏"),
        (
            "{object} keeps {close_wait} connections that the other side has closed",
            "进程 {object} 有 {close_wait} 个对端已关闭却未释放的连接（CLOSE_WAIT）",
        ),
        ("look for where it does not close", "排查未关闭连接的代码路径"),
    ),
    Fault.SERVICE_FAILED: _words(
        ("service failed", "服务失败"),
        ("the service {object} has failed", "服务 {object} 处于失败状态"),
        ("look at its log", "查看该服务日志"),
    ),
}
UNREAD_ZH = {
    "descriptors of other users' processes": "其他用户进程的文件描述符",
    "input and output of other users' processes": "其他用户进程的读写量",
    "a mount that does not answer": "未响应的挂载点",
    "kernel log": "内核日志",
    "journal": "journal 日志",
    "log file": "部分日志文件",
    "service manager": "服务管理器",
    "more than the bound of one look": "超出单次查看上限的部分",
}
