"""Questions about the assistant itself: what is asked most, how sessions go, how long tools and models take."""

from intact.query.scope import Rows, Scope, ask, clipped
from intact.store.database import Database

_TOOK = "(t.ended_ns - t.started_ns)"
_RANGE = "t.started_ns >= {from:Int64} AND t.started_ns < {to:Int64}"
# Two questions are the same if they differ in case, blanks, numbers and marks alone.
_SAME = r"trimBoth(replaceRegexpAll(replaceRegexpAll(lowerUTF8(t.question), '[0-9]+', '#'), '[\\s\\p{P}]+', ' '))"

HOT = f"""
SELECT {clipped("any(t.question)", 200)} AS question, count() AS asked, uniqExact(t.owner) AS askers,
    countIf(t.verdict IN ('cannot_tell', 'failed', 'refused')) AS unanswered,
    toInt64(quantileExact(0.5)({_TOOK})) AS p50_ns, max(t.started_ns) AS last_ns
FROM answer AS t WHERE {_RANGE} AND t.intent_type NOT IN ('suspicious', 'invalid', 'greeting')
GROUP BY {_SAME} ORDER BY asked DESC, last_ns DESC, question
"""
SESSIONS = f"""
SELECT t.session_id AS session, count() AS questions, min(t.started_ns) AS first_ns, max(t.ended_ns) AS last_ns,
    max(t.ended_ns) - min(t.started_ns) AS lasted_ns, countIf(t.intent_type = 'followup') AS followups,
    countIf(t.verdict IN ('cannot_tell', 'failed', 'refused')) AS unanswered, sum(t.tool_calls) AS tool_calls,
    sum(t.input_tokens) + sum(t.output_tokens) AS tokens, arrayStringConcat(groupUniqArray(t.expert), ' ') AS experts
FROM answer AS t WHERE {_RANGE} GROUP BY session ORDER BY questions DESC, last_ns DESC, session
"""
WORK = f"""
SELECT t.name AS work, count() AS times, countIf(NOT t.ok) AS failed, toInt64(quantileExact(0.5)({_TOOK})) AS p50_ns,
    toInt64(quantileExact(0.99)({_TOOK})) AS p99_ns, max({_TOOK}) AS max_ns
FROM span AS t WHERE {_RANGE} GROUP BY work ORDER BY times DESC, work
"""


def hot_questions(database: Database, scope: Scope) -> Rows:
    """What is asked most, the same question in other numbers put together."""
    return ask(database, HOT, scope)


def session_patterns(database: Database, scope: Scope) -> Rows:
    """How sessions go: how many questions, follow-ups and answers that could not be given."""
    return ask(database, SESSIONS, scope)


def own_work(database: Database, scope: Scope) -> Rows:
    """How often each tool, model and expert was used, how often it failed, and how long it took."""
    return ask(database, WORK, scope)
