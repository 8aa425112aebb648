"""How a character that does not show, or acts on what shows it, is written out."""

_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def written_out(character: str) -> str:
    """The character as a person can read it.

    >>> written_out("\x1b"), written_out("\u202e"), written_out("\U000e0041")
    ('\\\\x1b', '\\\\u202e', '\\\\U000e0041')
    """
    code = ord(character)
    if code < 0x100:
        return _SHORT.get(character) or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
