"""Texts of unknown origin, made fit for a terminal, a browser and a file of lines.

Names and messages come from files of models that anybody may have made. What turns the direction of writing around,
moves the cursor or is half a character shows as its escape.
"""

from __future__ import annotations

import re


def one_line(text: str, longest: int) -> str:
    """A text on one line, with white space joined, control characters made visible, and the middle left out.

    :param longest: characters that the result may have
    """
    return _ends(_visible(" ".join(_ends(text, 4 * longest).split())), longest)


def sentences(text: str, longest: int) -> str:
    """As :func:`one_line`, but what is too long ends with a whole sentence; a lone sentence may be four times as long.

    :param longest: characters that several sentences may have
    """
    whole = one_line(text, 4 * longest)
    if len(whole) <= longest:
        return whole
    ends = [found.end() for found in _SENTENCE_END.finditer(whole)]
    end = max((end for end in ends if end <= longest), default=min(ends, default=len(whole)))
    return whole if end == len(whole) else f"{whole[:end].rstrip()} …"


_SENTENCE_END = re.compile(r"[.!?] (?=[A-Z`'\"])")


def code_lines(text: str, longest: int) -> str:
    """As :func:`one_line`, but lines and indentation stay as they are, and what is too long is cut at its end."""
    lines = text[:longest].replace("\r\n", "\n").expandtabs(4).strip("\n").split("\n")
    return "\n".join([*(_visible(line).rstrip() for line in lines), *(["…"] if len(text) > longest else [])])


def _visible(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _ends(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    end = longest // 3
    return f"{text[: longest - end - 1]}…{text[-end:]}"
