"""Tools over the assistant's own work: what it is asked most, how sessions go, how long tools and models take."""

from collections.abc import Callable

from intact.assist.answers import ToolAnswer
from intact.assist.asking import Asker
from intact.assist.servers.scoped import Timed, as_answer, asked
from intact.assist.tool import Parts, Tool, texts
from intact.query.answers import hot_questions, own_work, session_patterns
from intact.query.scope import Asking, Scope

_ADMIN = ("admin",)  # questions are what people said; whoever owns the data directory may everything


def _over(question: Asking) -> Callable[[Parts, Asker, Timed], ToolAnswer]:
    def run(parts: Parts, asker: Asker, given: Timed) -> ToolAnswer:
        from_ns, to_ns, at_ns = given.times()
        scope = Scope(reader=asker.reader(), from_ns=from_ns, to_ns=to_ns, limit=given.limit)
        return as_answer(
            asked(parts, question, scope), given.model_dump() | {"from_ns": from_ns, "to_ns": to_ns, "at_ns": at_ns}
        )

    return run


OWN_TOOLS: tuple[Tool, ...] = (
    Tool(
        name="hot_questions",
        about=texts(
            "What this assistant is asked most, by how many people, and how often it could not answer.",
            "这个助手最常被问到什么、多少人问过、有多少次没能回答。",
        ),
        says=texts("Count the questions asked", "统计常见问题"),
        arguments=Timed,
        run=_over(hot_questions),
        words=("popular", "frequent", "faq", "asked", "people", "热门", "常问", "提问", "问题"),
        roles=_ADMIN,
    ),
    Tool(
        name="session_patterns",
        about=texts(
            "How sessions with this assistant go: questions, follow-ups, answers that could not be given.",
            "与助手的会话情况：问题数、追问数、没能回答的次数。",
        ),
        says=texts("Look at sessions with the assistant", "查看会话情况"),
        arguments=Timed,
        run=_over(session_patterns),
        words=("chats", "conversations", "sessions", "会话", "对话", "追问"),
        roles=_ADMIN,
    ),
    Tool(
        name="own_work",
        about=texts(
            "How often this assistant used each tool, model and expert, how often it failed, how long it took.",
            "助手自身每个工具、模型、专家的使用次数、失败次数与耗时。",
        ),
        says=texts("Measure the assistant's own work", "统计助手自身的工作"),
        arguments=Timed,
        run=_over(own_work),
        words=("assistant", "itself", "slow", "spans", "latency", "助手", "自身", "最慢", "耗时"),
        roles=(*_ADMIN, "auditor"),
    ),
)
