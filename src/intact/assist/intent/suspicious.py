"""Level 2: is it an order to the assistant that it must not follow, or only talk about such things?"""

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass

from intact.assist.intent.clean import Cleaned
from intact.assist.intent.likeness import CLASSES, likeness
from intact.assist.intent.rules import Rule, Spared, rules

MAX_HITS = 3  # of one rule in one text
LEAST_HIDDEN = 3  # characters written in tags, which nobody types by accident

ALIKE = 1.75  # above every benign question with frightening words that the weights were not trained on
MAX_DISGUISED = 1_000
_TELLING = re.compile(r"\b(?:ignore|previous|instructions?|prompt|system|password|rules|reveal|delete|secrets?|all|your)\b")
_QUOTED = re.compile(
    r"\"[^\"\n]{1,400}\"|`{1,3}[^`\n]{1,400}`{1,3}|\[[^\]\n]{1,200}\]\s?(?=是|什么)|(?:(?<=[\s:,(])|^)'[^\n]{1,300}?'(?=[\s.,:;!?)]|$)"
)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[!?](?=\S)|\.(?=[\u4e00-\u9fff])|\n")
_CLAUSE_END = re.compile(r";|&&|\|\||\n|,\s?(?:and |then |also |并|然后|顺便|再|同时)|\b(?:and then|and also|then)\b")

# Asked right before it: what is …, explain …
_NEAR = re.compile(
    r"(?:\bwhat(?:'s| is| are| does| do| was| happens (?:if|when)(?: \w{1,12}){0,3})|\bexplain(?: what| how| why)?|\bwhy (?:is|does|do|are|would)|\bhow (?:does|do|is|are|dangerous is)|\bis|\bdescribe"
    r"|\bdoes|\bmeaning of|\bdefine|什么是|什么叫|啥是|解释一?下?|介绍一?下?|说说|讲讲|讲一下|为什么|科普一?下?)\s{0,2}(?:(?:the|an?|command|string|phrase|pattern|一下|命令|这个|语句|attacks?|called|by|of)\s?){0,4}[\"'`(\[<]{0,2}\s{0,2}$"
)
_TOPIC = re.compile(
    r"\b(?:detect\w*|prevent\w*|protect\w*|defen[ds]\w*|mitigat\w*|block(?:s|ed|ing)?|injections?|attacks?|attackers?|payloads?|mean(?:s|ing)?|dangerous|harmful|risk(?:s|y)?|examples? of|recogni[sz]\w*"
    r"|flag(?:s|ged)?|escap(?:e|ed|ing)|saniti[sz]\w*|spot|hunt|difference|safe(?:ly)?|guard against|why (?:is|are|does|do|did|was|were|would|should)|how (?:do i|does|do|is|are|to|can i|should i|would)|what (?:does|happens|kind|is the (?:difference|effect|point|right way|best way|meaning))|best practices?|docs?|documentation|syntax|documented|traversal|(?:tried|trying|attempt(?:s|ed|ing)?) to|alert (?:on|when|if)|work(?:s)?\?)\b"
    r"|检测|特征|表现|差在哪|有何不同|安全吗|安全么|防止|防范|防御|防护(?!.{0,4}(?:关|掉))|预防|避免|识别|攻击|注入|什么意思|意思|含义|危险|危害|风险|原理|作用|区别|为什么|怎么回事|拦截|转义|告警|什么是|是什么|怎么(?:办|防|查|判断|发现|做|实现|配|用|写|设|处理)|如何(?:防|检|避|识|发现|判断|处理|配置|实现|做|查|使用|设)|会怎样|会发生|会不会|会有什么|能不能用|干什么|干嘛|科普|文档|规范|最佳实践|审计规则|阻止|阻断|禁止"
)
_REPORTED = re.compile(
    r"\b(?:say(?:s|ing)?|said|contain\w*|phrases?|strings?|texts? (?:like|such)|words|wrote|written|received|such as|like ['\"`]|e\.g|includ(?:e|es|ed|ing)|match(?:es|ed|ing)?|told (?:it|an agent|the agent)|asking (?:an|the) agent|(?:prompts?|messages?|logs?|lines?|pages?|inputs?) (?:that|which|with|where|saying))\b"
    r"|包含|含有|写着|出现|类似|比如|例如|诸如|之类|这种|这类|字样|这句|这一句|让agent|让它|要求agent|诱导"
)
_ASKED_WHO = re.compile(
    r"\b(?:which|who|whose|whom|when (?:did|was|were)|did|has|have|had|was|were|any(?:one|body)|ran|executed|issued|attempted|tried|triggered|called|invoked|how (?:many|often)|commands? (?:that|like|such)"
    r"|(?:agents?|process(?:es)?|runs?|calls?|users?|hosts?|files?|sessions?|effects?|commands?|tools?|people) (?:that|which|who|with|whose|where|running|using|executing|trying|attempting|reading|doing|[\w-]{1,20}ed\b)|occurrences?|attempts?|events? (?:of|where|for|with)|uses of|calls? to|executions? of|instances? of|evidence of|history of|reads? of|access(?:es)? to|writes? to|count of|number of|(?:list|show|find|count)(?: me)? (?:all |every |any )?(?:executions?|attempts?|reads?|writes?|accesses|opens|calls|events|findings)|by (?:an |the |any )?agents?)\b"
    r"|谁|哪个|哪些|哪条|哪次|哪台|哪一|有没有|有无|是否|是不是|几次|多少|什么时候|何时|几点|过吗|了吗|执行过|运行过|跑过|读过|访问过|删过|调用过|用过|打开过|尝试过|写过|改过|动过|发过|过的|执行的|运行的|执行了|运行了|跑了|读了|删了|访问了|试图|尝试|曾|次数|记录里|日志里|日志中|轨迹|统计|排查|审计|追溯|查一?下.{0,12}(?:的(?:agent|进程|智能体|运行|事件|记录|命令))|的(?:agent|进程|智能体|运行|事件|会话有|命令有)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """What was matched, and where: `text`, `form` or `decoded`."""

    rule: str
    seen_in: str


def suspicions(cleaned: Cleaned) -> tuple[Suspicion, ...]:
    """Every rule that a text breaks, in any of its readings."""
    found = [Suspicion(rule=name, seen_in="text") for name in _broken(cleaned.folded)]
    for form in cleaned.forms:
        found += [Suspicion(rule=name, seen_in="form") for name in _broken(form) if name.split(".")[0] != "code"]
    if not found:
        for inner in (*cleaned.decoded, *_disguised(cleaned.folded)):
            found += [Suspicion(rule=name, seen_in="decoded") for name in _broken(inner)]
    if not found and cleaned.text and _alikeness(cleaned.folded) >= ALIKE:
        found.append(Suspicion(rule="rules.alike", seen_in="text"))
    if len(cleaned.hidden.strip()) >= LEAST_HIDDEN:
        found.append(Suspicion(rule="rules.hidden_text", seen_in="text"))
    return tuple(dict.fromkeys(found))


def _disguised(folded: str) -> Iterable[str]:
    """What a text says read backwards or thirteen letters on, where that names what orders are about."""
    short = folded[:MAX_DISGUISED]
    if not short.isascii():
        return []
    return [read for read in (short[::-1], codecs.encode(short, "rot13")) if len(set(_TELLING.findall(read))) >= 2]


def _alikeness(folded: str) -> float:
    """How far a text is more like known orders than like anything else."""
    alike = dict(zip(CLASSES, likeness(folded), strict=True))
    return alike.pop("suspicious") - max(alike.values())


def _broken(folded: str) -> Iterable[str]:
    if len(folded) < 3:
        return []
    return [rule.name for rule in rules() if _breaks(rule, folded)]


def _breaks(rule: Rule, folded: str) -> bool:
    for count, match in enumerate(rule.pattern.finditer(folded)):
        if rule.spared is Spared.NEVER or not is_talk(folded, match.start(), match.end(), rule.spared):
            return True
        if count + 1 >= MAX_HITS:
            break
    return False


def is_talk(text: str, start: int, end: int, spared: Spared) -> bool:
    """Whether what stands at `start` to `end` is named in a question about it, rather than ordered.

    A quotation is talk if the sentence around it asks; without one only the clause is looked at, so that an order put
    behind an innocent question does not borrow its words.
    """
    for quoted in _QUOTED.finditer(text):
        if quoted.start() <= start and end <= quoted.end() and quoted.end() - quoted.start() < len(text):
            left, right = _around(text, quoted.start(), quoted.end(), _SENTENCE_END)
            return _asks(left, right, spared, is_quoted=True)
    left, right = _around(text, start, end, _SENTENCE_END)
    left, right = _after_last(left, _CLAUSE_END), _before_first(right, _CLAUSE_END)
    return _asks(left, right, spared, is_quoted=False)


def _around(text: str, start: int, end: int, bound: re.Pattern[str]) -> tuple[str, str]:
    return _after_last(text[max(0, start - 300) : start], bound), _before_first(text[end : end + 200], bound)


def _after_last(text: str, bound: re.Pattern[str]) -> str:
    last = 0
    for match in bound.finditer(text):
        last = match.end()
    return text[last:]


def _before_first(text: str, bound: re.Pattern[str]) -> str:
    match = bound.search(text)
    return text[: match.start()] if match else text


def _asks(left: str, right: str, spared: Spared, *, is_quoted: bool) -> bool:
    if _NEAR.search(left):
        return True
    for side in (left, right):
        if _TOPIC.search(side):
            return True
        if (is_quoted or spared is Spared.TALK) and _REPORTED.search(side):
            return True
        if (is_quoted or spared is Spared.MENTION) and (_ASKED_WHO.search(side) or _REPORTED.search(side)):
            return True
    return False
