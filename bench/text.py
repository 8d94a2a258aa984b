"""Text of others (a submission's, a record's, an archive's) made fit to be shown: nothing in it acts.

An escape sequence moves a terminal's cursor, colours what follows or renames its window; a mark of direction turns
letters round; half of a surrogate pair cannot be written at all. All of these are shown as their code instead.
"""

import re
import unicodedata

LONGEST_LINE = 1_000  # characters of a reason or a message; what is longer helps nobody
ACTING = ("Cc", "Cf", "Cs", "Zl", "Zp")  # Unicode's categories: controls, formats, surrogates, separators of lines
HARMLESS = frozenset("\n\t\u00ad\u200c\u200d")  # soft hyphen and the two joiners are part of words
SUSPECT = re.compile(r"[^\n\t\x20-\x7e\u00a1-\u00ac\u00ae-\u05ff\u1e00-\u1fff\u20a0-\u2fff\u3001-\u9fff]")


def harmless(text: str) -> str:
    r"""``text`` with every character that would act shown as its code, as ``\x1b``; new lines and tabs stay."""
    return SUSPECT.sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    sign = match[0]
    if sign in HARMLESS or unicodedata.category(sign) not in ACTING:
        return sign
    return f"\\x{ord(sign):02x}" if ord(sign) < 256 else f"\\u{ord(sign):04x}"


def cut(text: str, most: int = LONGEST_LINE) -> str:
    """``text`` if it is not longer than ``most`` characters, else its beginning and its end."""
    if len(text) <= most:
        return text
    end = most // 4
    return f"{text[: most - end - 5]} ... {text[-end:]}"


def one_line(text: str, most: int = LONGEST_LINE) -> str:
    """``text`` in one line of at most ``most`` characters, in which nothing acts."""
    return cut(harmless(" ".join(cut(text, 4 * most).split())), most)
