"""Numbers as people write them: digits, English words up to twelve and Chinese numerals up to 9999."""

_EN = "zero one two three four five six seven eight nine ten eleven twelve"
_ENGLISH = {word: value for value, word in enumerate(_EN.split())} | {
    "a": 1, "an": 1, "couple": 2, "few": 3, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "sixty": 60,
}  # fmt: skip
_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_PLACES = {"十": 10, "百": 100, "千": 1000}

# for patterns: what `number_of` can read; `half` and 半 are 0.5
NUMBER_EN = rf"(?:\d{{1,9}}(?:\.\d{{1,3}})?|half an?|half|{'|'.join(sorted(_ENGLISH, key=len, reverse=True))})"
NUMBER_ZH = r"(?:\d{1,9}(?:\.\d{1,3})?|半|[零〇一二两三四五六七八九十百千]{1,8})"


def number_of(text: str) -> float | None:
    """The number that a text is; None: it is none.

    >>> number_of("三十五"), number_of("two"), number_of("半"), number_of("x")
    (35, 2, 0.5, None)
    """
    text = text.strip().lower()
    if text in ("半", "half", "half a", "half an"):
        return 0.5
    if text in _ENGLISH:
        return _ENGLISH[text]
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text) if "." in text else int(text)
    return _chinese(text)


def _chinese(text: str) -> int | None:
    if not text or any(each not in _DIGITS and each not in _PLACES for each in text):
        return None
    total = digit = 0
    for each in text:
        if each in _DIGITS:
            digit = _DIGITS[each]
        else:
            total += (digit or 1) * _PLACES[each]
            digit = 0
    return total + digit
