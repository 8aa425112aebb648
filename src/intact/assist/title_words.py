"""The words by which a question becomes a title: what is said out of politeness, what is done, what it is done to."""

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# At the beginning of a question, again and again.
POLITE = re.compile(
    r"""\s*(?:
    你好|您好|嗨|哈[喽啰]|早上好|上午好|下午好|晚上好|请教一下|请教|请问一?下?|请|麻烦(?:你|您)?|劳驾|辛苦|拜托|
    帮忙|帮我|帮|替我|给我|告诉我|跟我说说|说说|能不能|可不可以|能否|可否|可以|能|
    我想要?(?:知道|了解|问问?|看看?|查查?)?一?下?|我要|想(?:知道|了解|问|看|查)一?下?|
    看一下|看看|看下|查一下|查查|查下|查看一?下?|查询一?下?|列出|列一下|显示一?下?|展示一?下?|找出|找一下|
    统计一?下?|分析一?下?|检查一?下?|排查一?下?|诊断一?下?|解释一?下?|介绍一?下?|
    为什么|为啥|为何|怎么会|怎么样|怎么|怎样|如何|什么是|啥是|什么叫|有没有|是不是|是否|
    到底|究竟|现在|目前|当前|一下|那么?|嗯+|呃+|
    \b(?:hi|hello|hey|dear|good\ (?:morning|afternoon|evening)|please|pls|kindly|could|can|would|will|you|we|i|
    i'd|i'm|id|want|like|need|to|know|tell|show|give|help|explain|describe|find|list|check|look|see|display|get|
    let|me|us|out|up|at|into|just|so|ok|okay|well|and|why|what|what's|whats|which|who|whom|where|when|how|much|many|
    come|is|are|was|were|am|be|been|do|does|did|has|have|had|there|the|a|an|it|that|this|all|any|some|of|about|for|
    if|whether|investigate|diagnose|analyse|analyze|wondering)\b(?!-)
    )[\s,，。:：!！、~]*""",
    re.VERBOSE | re.IGNORECASE,
)

_TIME_ZH = (
    r"(?:在)?(?:最近|过去|近|刚才|刚刚|今天|昨天|前天|昨晚|今早|本周|上周|这周|本月|这个月|上个月|今年)(?:的)?"
    r"(?:[一二两三四五六七八九十半\d]+ ?个?(?:小时|分钟|天|周|月|秒)钟?)?"
    r"(?:内|以内|之内|里|早上|上午|下午|晚上|凌晨|中午)?"
)
_TIME_EN = (
    r"\b(?:in|over|during|for|within|since) the (?:last|past) (?:\w+ )?(?:second|minute|hour|day|week|month)s?\b"
    r"|\b(?:today|yesterday|tonight|right now|now|currently|recently|lately|last night|this (?:morning|week))\b"
)

# Whole phrases that say in few words what is wanted; what is in brackets stays.
PHRASES = (
    (r"(?:有没有|有什么|有啥|存在什么|出了?什么)(?:问题|异常|毛病|故障)", "健康检查"),
    (r"(?:是否|是不是)?(?:正常|健康)吗?[?？]?\s*$|怎么回事|出什么事了?", "健康检查"),
    (r"\b(?:is there )?(?:any|some)thing wrong (?:with|on) (?:the |this |my )?([\w.-]{1,30})", "health"),
    (r"\bwhat(?:'s| is) wrong (?:with|on) (?:the |this |my )?([\w.-]{1,30})", "health"),
    (r"\b(?:is|are) (.{1,30}?) (?:healthy|ok|okay|fine|alright)\b", "health"),
    (r"花了?(?:多少|几多)(?:钱|费用)?|(?:费用|成本|开销)是?(?:多少|几多)|多少钱", "费用"),
    (r"\bhow much (?:money )?(?:did|does|do|has|have|was|is)\b(.{0,60}?)\b(?:costs?|spen[dt])\b", "cost"),
    (r"怎么办|怎么(?:解决|处理|弄|搞)|该?如何(?:解决|处理)|怎么样|怎样|咋样|什么意思|是(?:什么|啥)(?:东西)?", ""),
    (r"有哪些|有多少|是多少|多少|哪些|哪个|哪里|什么时候|为什么|为啥|这么|那么|如此|有没有|几[次个台条]", ""),
    (r"所有|全部|任何|每个|导致|引起|造成|以及|还有|突然", ""),
    (_TIME_ZH, ""),
    (_TIME_EN, ""),
)

# Verbs, in the form that a title has.
ACTIONS_EN = {
    form: base
    for base, forms in {
        "delete": "delete deleted deletes deleting deletion remove removed removes removing erase erased",
        "create": "create created creates creating",
        "change": "change changed changes changing modify modified modifies edit edited",
        "write": "write wrote written writes writing overwrite overwrote",
        "read": "read reads reading",
        "open": "open opened opens opening",
        "run": "execute executed executes ran",
        "connect": "connect connected connects connecting",
        "restart": "restart restarted restarts restarting",
        "crash": "crash crashed crashes crashing",
        "fail": "fail failed fails failing failure",
        "kill": "kill killed kills killing",
        "slow": "slow slower slowly slowness",
        "full": "full",
        "leak": "leak leaked leaks leaking",
        "high": "high higher highest",
        "low": "low lower lowest",
        "hang": "hang hangs hung stuck",
        "down": "down",
        "error": "error errors",
        "call": "call called calls",
        "cost": "cost costs spend spent expensive",
        "compare": "compare compared comparing comparison",
        "install": "install installed installing",
        "config": "configure configured configuring",
        "rename": "rename renamed",
        "download": "download downloaded",
        "upload": "upload uploaded",
        "send": "send sent sends",
        "grow": "grow grows growing grew",
        "refused": "refused refuse refuses",
        "timeout": "timeout timeouts",
        "record": "record recorded recording",
    }.items()
    for form in forms.split()
}

# What is shorter than the word itself and is still understood.
SHORT_EN = {
    "processes": "procs",
    "configuration": "config",
    "utilization": "usage",
    "utilisation": "usage",
    "consumption": "usage",
    "connections": "conns",
    "connection": "conn",
    "directory": "dir",
    "directories": "dirs",
    "application": "app",
    "applications": "apps",
    "database": "DB",
    "environment": "env",
    "machine": "host",
    "server": "host",
    "information": "info",
    "kubernetes": "k8s",
    "authentication": "auth",
    "permissions": "perms",
    "descriptors": "fds",
    "performance": "perf",
    "network": "net",
    "statistics": "stats",
}

WEAK_EN = _words(
    """
    above below between
    a an the this that these those of on in at to from by with for and or but is are was were be been do does did
    has have had it its my our your their his her i we you they me us them so very really too much many most such
    all any some please there here then than as into onto over under about again still just also not no who what
    which why how when where while because if can could would should will may might must need want know tell show
    give list find check get see look same using use used via
    """
)

NOUNS_EN = _words(
    """
    cpu memory disk network net process processes procs file files log logs port ports service services host hosts
    server agent agents run runs cost tokens token model call calls tool tools turn session sessions inode inodes
    fd fds descriptors zombie zombies load swap io latency traffic bandwidth dns tls http api database db redis
    nginx mysql postgres docker container containers kernel policy policies finding findings risk config usage
    health secret secrets password user users root space partition cache queue thread threads
    """
)

# Of two characters and more, so that a text is taken apart at words; the longest that fits is taken.
ACTIONS_ZH = _words(
    """
    删除 创建 新建 修改 更改 改动 写入 读取 打开 执行 运行 启动 停止 重启 崩溃 失败 报错 出错 杀死 杀掉 连接 访问
    泄漏 泄露 变慢 卡住 卡死 卡顿 占满 写满 打满 用满 满了 过高 过低 很高 太高 飙升 升高 偏高 下降 增长 上涨 超时
    拒绝 断开 中断 丢失 丢包 对比 比较 安装 配置 部署 升级 回滚 重命名 下载 上传 发送 调用 花费 消耗 占用 耗尽
    不足 异常 健康检查 告警 阻塞 死锁 退出 挂了 宕机 拦截 阻止 授权 录制 检测 清理 恢复 备份
    """
)

NOUNS_ZH = _words(
    """
    磁盘 内存 处理器 网络 网卡 进程 僵尸进程 线程 文件 目录 文件夹 日志 错误日志 系统日志 端口 服务 主机 机器
    服务器 智能体 代理 运行 费用 成本 开销 令牌 模型 大模型 工具 工具调用 会话 磁盘空间 空间 使用率 利用率 占用率
    负载 交换区 句柄 文件描述符 描述符 延迟 时延 流量 带宽 域名 证书 数据库 容器 内核 策略 治理策略 风险 发现 密钥
    密码 用户 权限 分区 缓存 队列 上下文 中间件 从库 主库 接口 请求 响应 程序 脚本 命令 子进程 父进程 指标
    核心指标 吞吐 吞吐量 机房 集群 节点 页面 数据 数据库连接 连接数 系统 原因 根因 知识库 文档 提示词 提示注入
    注入攻击 对象 目的 版本 依赖 环境变量 变量 参数 账号 定时任务 任务 邮件 图片 代码 仓库 分支 提交 配置文件
    索引节点 令牌 插件 机柜 温度 电源
    """
)

# Between words; a character of one of the words above is none of these.
WEAK_ZH = frozenset(
    "的了着过在是和与及或把被给对将从到里上中内都也还就又才吗呢吧啊呀哦嘛么我你您他她它们这那有没个些次台条来"
)

# A thing with its number is one thing.
THING = re.compile(
    r"(?:agent|run|pid|process|turn|session|call|host|port|user|policy|进程|智能体|会话|端口|运行|主机|节点)"
    r"[ ]?[#＃]?\d{1,10}(?![\w.])",
    re.IGNORECASE,
)
