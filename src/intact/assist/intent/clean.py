"""Level 1: a text as a person would see it, what was hidden in it, and the forms in which patterns look at it."""

import base64
import binascii
import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import unquote

MAX_CHARACTERS = 8_000
MAX_RAW = 4 * MAX_CHARACTERS  # before invisible characters are gone
MAX_PAYLOADS = 8  # encoded parts of a text that are decoded
_ROUNDS = 4  # of cleaning; hypothesis found none that needs more than two

_TAGS = range(0xE0020, 0xE007F)  # ASCII in a plane that is not shown
_BIDI = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Not of category Cf, and yet they show nothing.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")


def _pairs(text: str) -> dict[int, int]:
    return {ord(text[i]): ord(text[i + 1]) for i in range(0, len(text), 2)}


_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r" ?\n[ \n]*")

# Letters that look like Latin ones, of scripts that NFKC leaves alone: each before the one it looks like.
_LOOKALIKES = _pairs(
    "аaвbеeкkмmнhоoрpсcтtуyхxѕsіiјjһhԁdԛqԝwӏlёeгrиuпnьbαaβbγyεeζzηnιiκkνvοoρpτtυuχxωwϲcϳjμuօoոnսuհhցgѵvɡgɑaıi"
)
_PUNCTUATION = _pairs('“"”"„"‟"‘\'’\'‚\'‛\'′\'″"`\'´\'，,。.！!？?；;：:、,（(）)【[】]「"」"『"』"《<》>—-–-−-‐-‑-')
# Traditional characters by which orders are written, each before the simplified one; NFKC leaves them as they are.
_SIMPLIFIED = _pairs(
    "請请將将則则這这個个們们說说嗎吗現现過过還还沒没無无對对開开關关閉闭啟启動动刪删資资訊讯數数據据庫库檢检測测試试類类別别"
    "執执為为從从與与後后來来給给讓让應应該该進进顯显輸输設设規规範范圍围係系統统戶户碼码鑰钥權权機机記记憶忆體体網网絡络檔档"
    "夾夹連连線线錯错誤误負负載载處处監监視视釋释義义當当麼么時时間间裡里邊边聽听寫写讀读頭头長长問问題题變变換换結结構构種种"
    "術术遠远幫帮覽览導导單单擴扩張张點点評评聯联務务員员內内態态頻频樂乐買买賣卖飯饭廳厅屬属屢屡蓋盖繞绕偽伪裝装"
)
_LEET = str.maketrans("013457@$", "oieastas")
_IN_WORD = re.compile(r"[a-z][013457@$]{1,2}[a-z]")
_IDEOGRAPH = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_BETWEEN_IDEOGRAPHS = re.compile(f"(?<=[{_IDEOGRAPH}])[ \\n*_.\\-|/~+]{{1,3}}(?=[{_IDEOGRAPH}])")
_SPACED = re.compile(r"\b[a-z](?:[ .*_\-|/]{1,3}[a-z]\b){5,}")
_SPACING = re.compile(r"[ .*_\-|/]{1,3}")

# What orders to an assistant are about, and how people shorten it.
_TELLING = (
    *(
        "ignore",
        "disregard",
        "forget",
        "bypass",
        "override",
        "previous",
        "instructions",
        "instruction",
        "system",
        "prompt",
    ),
    *("rules", "reveal", "hidden", "password", "passwords", "delete", "restrictions", "guidelines", "secret"),
)
_SHORT_FOR = {
    "prev": "previous",
    "yr": "your",
    "ur": "your",
    "instr": "instructions",
    "pw": "password",
    "pwd": "password",
}
_UNMENDED = re.compile(r"[a-z](?:[a-z]|[.*_-](?=[a-z])){1,30}\.?")
MAX_MENDED = 2_000

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,4000}={0,2}")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}[ :]?){8,2000}")
_HEX_ESCAPES = re.compile(
    r"(?:\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\u\{[0-9A-Fa-f]{1,6}\}|&#x?[0-9A-Fa-f]{1,6};){3,1000}"
)
_ONE_ESCAPE = re.compile(r"\\x([0-9A-Fa-f]{2})|\\u\{?([0-9A-Fa-f]{1,6})\}?|&#x([0-9A-Fa-f]{1,6});|&#([0-9]{1,7});")
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """A text after level 1.

    Args:
        text: as a person would read it, NFKC, of at most MAX_CHARACTERS.
        folded: the same in small letters, look-alike letters, accents and traditional characters folded; for matching.
        forms: further readings of it: letters in place of digits, letters that were spaced out.
        decoded: what encoded parts of it say, folded, and what tag characters hid.
        removed: what was taken out, by kind; evidence by itself.
    """

    text: str
    folded: str
    forms: tuple[str, ...] = ()
    decoded: tuple[str, ...] = ()
    hidden: str = ""
    removed: tuple[tuple[str, int], ...] = ()
    is_cut: bool = False


def clean(raw: str) -> Cleaned:
    """Level 1 for any text; never raises, and is the same on what it gave."""
    removed: dict[str, int] = {}
    is_cut = len(raw) > MAX_RAW
    text = raw[:MAX_RAW]
    hidden = "".join(chr(ord(c) - 0xE0000) for c in text if ord(c) in _TAGS) if not text.isascii() else ""
    hidden = "" if _is_flag(text, hidden) else hidden
    for _ in range(_ROUNDS):
        before = text
        text = _spaced_once(unicodedata.normalize("NFKC", _without_invisible(text, removed)))
        if len(text) > MAX_CHARACTERS:
            is_cut = True
            text = text[:MAX_CHARACTERS].rstrip()
        if text == before:
            break
    folded = fold(text)
    return Cleaned(
        text=text,
        folded=folded,
        forms=_forms(folded),
        decoded=tuple(dict.fromkeys(fold(each)[:MAX_CHARACTERS] for each in (*_decoded(text), hidden) if each.strip())),
        hidden=hidden,
        removed=tuple(sorted(removed.items())),
        is_cut=is_cut,
    )


def fold(text: str) -> str:
    """Small letters without accents, look-alikes as the letters they look like, ideographs simplified and unspaced."""
    text = text.lower()
    if text.isascii():
        return text
    text = text.translate(_PUNCTUATION).translate(_LOOKALIKES).translate(_SIMPLIFIED)
    if any("\u00c0" <= c < "\u2e80" for c in text):
        text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    return _BETWEEN_IDEOGRAPHS.sub("", text)


def has_ideograph(text: str) -> bool:
    return any("\u3400" <= c <= "\u4dbf" or "\u4e00" <= c <= "\u9fff" or "\uf900" <= c <= "\ufaff" for c in text)


def _without_invisible(text: str, removed: dict[str, int]) -> str:
    drop: dict[int, str | None] = {}
    for character in set(text):
        kind = _kind(character)
        if kind is not None:
            removed[kind] = removed.get(kind, 0) + text.count(character)
            drop[ord(character)] = None
        elif character in "\r\x0b\x0c\x85\u2028\u2029":
            drop[ord(character)] = "\n"
    return text.translate(drop) if drop else text


def _kind(character: str) -> str | None:
    """Why a character is taken out; None: it stays."""
    if "!" <= character <= "~" or character in " \n\t\r\x0b\x0c\x85":
        return None
    code = ord(character)
    if 0xE0000 <= code <= 0xE007F:
        return "tag"
    if 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF:
        return "variation"
    if character in _BIDI:
        return "direction"
    if character in _BLANK:
        return "invisible"
    category = unicodedata.category(character)
    return {"Cf": "invisible", "Cc": "control", "Cs": "surrogate", "Co": "private"}.get(category)


def _is_flag(text: str, hidden: str) -> bool:
    """Whether the tag characters are those of a flag (a black flag and a region of five letters or six)."""
    return bool(hidden) and len(hidden) <= 6 * max(text.count("\U0001f3f4"), 0)


def _spaced_once(text: str) -> str:
    return _LINES.sub("\n", _SPACES.sub(" ", text)).strip()


def _forms(folded: str) -> tuple[str, ...]:
    forms = []
    mended = _UNMENDED.sub(_mended, folded[:MAX_MENDED])
    if mended != folded[:MAX_MENDED]:
        forms.append(mended)
    if _IN_WORD.search(folded):
        forms.append(folded.translate(_LEET))
    if _SPACED.search(folded):
        forms.append(_SPACED.sub(lambda m: _SPACING.sub("", m[0]), folded))
    return tuple(forms)


def _mended(match: re.Match[str]) -> str:
    """The word that a misspelt one stands for: a letter or two away, or written with marks in it."""
    word = match[0].replace("-", "").replace(".", "").replace("_", "").replace("*", "")
    if word in _SHORT_FOR:
        return _SHORT_FOR[word]
    if len(word) < 5 or word in _TELLING:
        return word if word in _TELLING else match[0]
    for meant in _TELLING:
        if abs(len(meant) - len(word)) <= 2 and meant[0] == word[0] and _is_near(word, meant):
            return meant
    return match[0]


def _is_near(word: str, meant: str) -> bool:
    """Whether the words share all but a letter or two, in about the same order."""
    if sorted(word) == sorted(meant):
        return True
    start = 0
    while start < min(len(word), len(meant)) and word[start] == meant[start]:
        start += 1
    end = 0
    while end < min(len(word), len(meant)) - start and word[-1 - end] == meant[-1 - end]:
        end += 1
    return max(len(word), len(meant)) - start - end <= (1 if len(meant) < 8 else 2)


def _decoded(text: str) -> list[str]:
    """What encoded parts say, and what those say that are encoded twice."""
    found: list[str] = []
    layer = [text]
    for _ in range(2):
        layer = [inner for each in layer for inner in _decoded_once(each)][:MAX_PAYLOADS]
        found += layer
    return found[: 2 * MAX_PAYLOADS]


def _decoded_once(text: str) -> list[str]:
    found = []
    if len(_PERCENT.findall(text)) >= 2:
        found.append(unquote(text, errors="replace"))
    if _HEX_ESCAPES.search(text):
        found.append(_ONE_ESCAPE.sub(_character, text))
    for match in list(_BASE64.finditer(text))[:MAX_PAYLOADS]:
        found += _readable(_from_base64(match[0]))
    for match in list(_HEX.finditer(text))[:MAX_PAYLOADS]:
        found += _readable(bytes.fromhex(re.sub("[ :]", "", match[0])))
    return found


def _character(match: re.Match[str]) -> str:
    digits = match[1] or match[2] or match[3]
    code = int(digits, 16) if digits else int(match[4])
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else ""


def _from_base64(text: str) -> bytes:
    body = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(body[: len(body) - (len(body) % 4 == 1)] + "=" * (-len(body) % 4))
    except binascii.Error:
        return b""


def _readable(data: bytes) -> list[str]:
    """The text, if it is one: bytes of an id or a hash are none."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return []
    letters = sum(c.isalpha() or c == " " for c in text)
    return [text] if len(text) >= 6 and text.isprintable() and letters >= 0.7 * len(text) else []
