"""The keys of the section `assist` in words, in English and Chinese."""

from collections.abc import Iterator, Mapping

from intact.model.config_keys import Label

_MODELS = (("model", "Model", "模型"), ("fallback", "Fallback Model", "备用模型"), ("small", "Small Model", "小模型"))
_OF_A_MODEL = (
    (
        "provider",
        "Provider",
        "接口类型",
        "openai: any endpoint that speaks chat completions",
        "openai 指任何兼容 chat completions 的接口",
    ),
    ("name", "Name", "名称", "As the endpoint knows it", "接口所用的模型名"),
    ("base_url", "Base URL", "接口地址", "Of the endpoint; none: the provider's own", "为空则为官方地址"),
    ("api_key_env", "Key Variable", "密钥变量", "The environment variable that holds the key", "存放密钥的环境变量名"),
    ("timeout_s", "Timeout", "超时", "Seconds of one request", "单次请求的秒数"),
    ("max_output_tokens", "Output Tokens", "输出上限", "Of one answer of it", "单次回复的 token 数"),
)


def _models() -> Iterator[tuple[str, Label]]:
    for model, model_en, model_zh in _MODELS:
        for name, en, zh, description_en, description_zh in _OF_A_MODEL:
            yield f"assist.{model}.{name}", Label(f"{model_en} {en}", f"{model_zh}{zh}", description_en, description_zh)


# A key is added by its field in the settings and one line here.
LABELS: Mapping[str, Label] = {
    "assist.language": Label(
        *("Answer Language", "回答语言"), *("en or zh; none: that of the question", "en 或 zh; 为空则与问题一致")
    ),
    **dict(_models()),
    "assist.sessions": Label(
        *("Sessions", "会话存储"), *("sqlite, or a redis:// or rediss:// address", "sqlite, 或 redis:// rediss:// 地址")
    ),
    "assist.session_days": Label(
        *("Session Days", "会话保留天数"),
        *("A session and its feedback are forgotten after so long", "会话及其反馈超过该天数后删除"),
    ),
    "assist.feedback_db": Label(*("Feedback Database", "反馈库编号"), *("Of Redis", "Redis 的库编号")),
    "assist.knowledge": Label(
        *("Knowledge Folders", "知识库目录"), *("Of Markdown, HTML and text", "存放 Markdown、HTML 和文本的目录")
    ),
    "assist.mcp": Label(*("MCP Servers", "外部 MCP 服务"), *("Servers of others, by name", "他方的 MCP 服务, 按名称")),
    "assist.mcp{}.url": Label(*("MCP URL", "MCP 地址"), *("Of one that speaks HTTP", "通过 HTTP 提供的服务")),
    "assist.mcp{}.command": Label(
        *("MCP Command", "MCP 命令"),
        *("Of one that speaks over standard input and output", "通过标准输入输出提供的服务"),
    ),
    "assist.mcp{}.environment": Label(
        *("MCP Environment", "MCP 环境变量"),
        *("Given to the command, beside PATH and HOME", "除 PATH 和 HOME 外传给命令的变量"),
    ),
    "assist.mcp{}.headers": Label(*("MCP Headers", "MCP 请求头"), *("Sent with each request", "随每次请求发送")),
    "assist.mcp{}.tools": Label(
        *("MCP Tools", "MCP 工具"), *("Only these are offered; empty: none", "只提供列出的工具; 为空则不提供")
    ),
    "assist.mcp{}.send_identity": Label(
        *("MCP Identity", "MCP 身份"),
        *("Whether the signed identity of who asks is sent along", "是否附带提问者的签名身份"),
    ),
    "assist.bounds.tool_calls": Label(*("Tool Calls", "工具调用上限"), *("Of one question", "每个问题")),
    "assist.bounds.model_calls": Label(*("Model Calls", "模型调用上限"), *("Of one question", "每个问题")),
    "assist.bounds.tokens": Label(*("Tokens", "Token 上限"), *("Of one question", "每个问题")),
    "assist.bounds.seconds": Label(*("Seconds", "时长上限"), *("Of one question", "每个问题的秒数")),
    "assist.auth_centre.callback": Label(
        *("Auth Callback", "认证回调"),
        *("module:function that verifies sessionid and JSESSIONID", "校验 sessionid 和 JSESSIONID 的 module:function"),
    ),
    "assist.auth_centre.key_file": Label(
        *("Cookie Key File", "Cookie 密钥文件"),
        *("Of signed cookies; none: in the data directory", "签名 cookie 的密钥; 为空则在数据目录中"),
    ),
    "assist.otlp_endpoint": Label(
        *("OTLP Endpoint", "OTLP 地址"),
        *("Where spans of the assistant's own work are sent as well", "助手自身的 span 另外发送到此"),
    ),
    "assist.host_metrics_s": Label(
        *("Host Metrics Seconds", "主机指标间隔"),
        *("Between measurements of this host; 0: none", "测量本机的间隔秒数; 0 为不测量"),
    ),
}
