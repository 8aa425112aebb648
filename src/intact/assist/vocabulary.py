"""The closed vocabulary: words that may reach a model out of text of others. No verb that orders anything is in it.

What is not here is a handle. A word is added for being common in telemetry and saying nothing to one who obeys.
"""

_STATES = """
    active inactive running sleeping idle zombie stopped dead waiting failed succeeded success failure error
    errors warning warnings info debug notice critical fatal alert emergency ok healthy unhealthy degraded
    online offline up down enabled disabled mounted unmounted established closed listening listen timeout
    refused denied unreachable unknown none true false yes no null pending complete incomplete allowed blocked
    low medium high severe new old blocking
"""
_PROGRAMS = """
    python python3 bash sh zsh node npm npx git curl wget systemd sshd ssh nginx apache httpd redis postgres
    postgresql mysql mysqld mongo docker dockerd containerd kubelet java perl ruby php go gcc make cargo rustc
    cat ls grep sed awk tar gzip rsync cron crond rsyslogd journald dbus udevd kernel claude codex gemini
    opencode intact uvicorn gunicorn celery pip uv pytest vim tmux sudo su clickhouse prometheus grafana kafka
    zookeeper etcd haproxy envoy chronyd ntpd bird named dnsmasq postfix
"""
_SYSTEM = """
    ext4 xfs btrfs tmpfs overlay nfs vfat zfs proc sysfs cgroup devtmpfs root daemon nobody user admin owner
    member auditor localhost tcp udp tcp6 udp6 unix http https grpc dns ipv4 ipv6 eth0 lo cpu memory disk
    network load swap inode inodes io iowait steal read write open exec fork connect accept bind file dir socket
    pipe signal mount process thread host service port sigkill sigterm sigint sigsegv sighup sigabrt usr var etc
    tmp home opt srv mnt dev sys run lib bin sbin log logs data cache config full leak hog flood storm
    exhaustion descriptor descriptors count total used free available size usage percent rate get post put head
    openai anthropic google gpt qwen deepseek
"""
_KINDS = """
    service socket timer target mount slice scope conf cfg ini yaml yml json toml xml csv txt md html py js ts
    rs go c h so sh db sqlite gz zip pem key crt lock pid sock service env log
"""
KINDS = frozenset(_KINDS.split())
WORDS = frozenset(f"{_STATES} {_PROGRAMS} {_SYSTEM} {_KINDS}".split())

_UNITS = """
    b bytes byte kib mib gib tib kb mb gb tb ns us µs ms s min h d epoch % ratio fraction usd tokens token count 1 ops hz mhz
    files errors processes connections calls rows lines threads cores
"""
UNITS = frozenset(_UNITS.split())

# names of arguments of tools of others
_ARGUMENTS = """
    query id ids limit offset from to start end since until namespace pod container cluster label labels filter
    page lang language region project repo branch owner type kind key metric metrics time range step window text
    search sort order name names a b n x y
"""
ARGUMENTS = frozenset(_ARGUMENTS.split())

# What a text is about, told with its handle: these words of the left side stand in it. The order is ours, not that of the text.
FEATURES: dict[str, tuple[str, ...]] = {
    "timeout": ("timeout", "timed out", "超时"),
    "refused": ("refused", "拒绝连接"),
    "denied": ("denied", "forbidden", "unauthorized", "拒绝访问"),
    "out of memory": ("out of memory", "oom", "内存不足"),
    "killed": ("killed", "sigkill"),
    "disk full": ("no space left", "disk full", "enospc", "磁盘已满", "空间不足"),
    "too many open files": ("too many open files", "emfile"),
    "segfault": ("segfault", "segmentation fault", "core dumped"),
    "connection": ("connection", "connect", "连接"),
    "reset": ("reset by peer", "connection reset"),
    "unreachable": ("unreachable", "no route"),
    "not found": ("not found", "no such", "404", "找不到"),
    "certificate": ("certificate", "x509", "tls", "ssl", "证书"),
    "authentication": ("authentication", "login", "password", "认证"),
    "restart": ("restart", "重启"),
    "panic": ("panic", "fatal"),
    "error": ("error", "failed", "failure", "exception", "错误", "失败"),
    "warning": ("warn", "警告"),
    "install": ("install", "安装"),
    "configuration": ("config", "配置"),
    "retention": ("retention", "保留"),
    "network": ("network", "网络"),
    "memory": ("memory", "内存"),
    "disk": ("disk", "磁盘"),
    "cpu": ("cpu", "处理器"),
    "process": ("process", "进程"),
    "agent": ("agent", "智能体"),
    "policy": ("policy", "策略"),
    "query": ("query", "sql", "查询"),
    "table": ("table", "column"),
}
