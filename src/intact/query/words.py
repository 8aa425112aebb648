"""Which of the texts sent to a model are the person's own."""

import re
from typing import Any

# What agents put beside the person's words stands in one element: <system-reminder>…</system-reminder>, <context>…</context>.
_ADDED = re.compile(r"\s*<([a-zA-Z][\w-]*)[^>]*>.*</\1>\s*", re.DOTALL)


def user_words(messages: Any) -> str | None:
    """The last words of the user among the messages sent to a model; a tool's result is no word of the user.

    >>> parts = [{"type": "text", "content": text} for text in ("<env>x</env>", "hi")]
    >>> user_words([{"role": "user", "parts": parts}])
    'hi'
    """
    added: str | None = None
    for message in reversed(messages) if isinstance(messages, list) else ():
        texts = _texts(message)
        own = [text for text in texts if not _ADDED.fullmatch(text)]
        if own:
            return "\n".join(own)
        added = added or "\n".join(texts) or None
    return added


def _texts(message: Any) -> list[str]:
    if not isinstance(message, dict) or message.get("role") != "user" or not isinstance(message.get("parts"), list):
        return []
    texts = (part.get("content") for part in message["parts"] if isinstance(part, dict) and part.get("type") == "text")
    return [text for text in texts if isinstance(text, str) and text.strip()]
