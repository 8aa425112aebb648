"""Markdown of a model without what would load or run something: images, links, HTML."""

import re
import unicodedata

_IMAGE = re.compile(r"!\[([^\]\n]{0,300})\]\([^)\n]{0,2000}\)?")
_LINK = re.compile(r"(?<!!)\[([^\]\n]{1,300})\]\([^)\n]{0,2000}\)?")
_CITED = re.compile(r"e\d{1,4}")
_REFERENCE = re.compile(r"^\s{0,3}\[[^\]\n]{1,100}\]:\s.*$", re.MULTILINE)
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_CODE = re.compile(r"(`[^`\n]{1,1000}`)")
_FENCE = re.compile(r"^\s*(?:```|~~~)[^\n]*$", re.MULTILINE)


def plain_markdown(text: str) -> str:
    """The text with images and links by their words, tags escaped, fences gone and nothing invisible."""
    text = _FENCE.sub("", text)
    text = "".join(character for character in text if character == "\n" or unicodedata.category(character)[0] != "C")
    parts = _CODE.split(text)
    return "".join(part if index % 2 else _plain(part) for index, part in enumerate(parts)).strip()


def _plain(text: str) -> str:
    text = _REFERENCE.sub("", _LINK.sub(_words_of, _IMAGE.sub(r"\1", text)))
    return _TAG.sub("&lt;", text)


def _words_of(link: re.Match[str]) -> str:
    return f"[{link[1]}]" if _CITED.fullmatch(link[1]) else link[1]
