"""Escaping of untrusted text (from submissions, records, archives) before it is printed or written.

Terminal escape sequences move the cursor, change colours or rename the window; bidirectional controls reorder
letters; an unpaired surrogate cannot be encoded as UTF-8. All of these are replaced by their escape codes.
"""

import re
import unicodedata

LONGEST_LINE = 1_000  # maximum characters of a reason or message
# Unicode categories: control, format, surrogate, line separator, paragraph separator
ESCAPED_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")
HARMLESS = frozenset("\n\t\u00ad\u200c\u200d")  # soft hyphen, zero-width non-joiner and joiner are parts of words
# A fast filter: every character outside of these ranges is looked up in unicodedata.
SUSPECT = re.compile(r"[^\n\t\x20-\x7e\u00a1-\u00ac\u00ae-\u05ff\u1e00-\u1fff\u20a0-\u2fff\u3001-\u9fff]")


def harmless(text: str) -> str:
    r"""Replace control and format characters by escape codes such as ``\x1b``; keep line breaks and tabs."""
    return SUSPECT.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character in HARMLESS or unicodedata.category(character) not in ESCAPED_CATEGORIES:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def cut(text: str, limit: int = LONGEST_LINE) -> str:
    """Shorten ``text`` to at most ``limit`` characters: its beginning and its end, with `` ... `` between them."""
    if len(text) <= limit:
        return text
    end = limit // 4
    return f"{text[: limit - end - 5]} ... {text[-end:]}"


def beginning(text: str, limit: int) -> str:
    """Shorten ``text`` to at most ``limit`` characters: its first words, with `` …`` if some are left out."""
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    words, _, _ = head.rpartition(" ")
    # A long last word, such as a path, is cut rather than left out.
    return (words if len(words) > limit // 2 else head[:-1]).rstrip(" ,;:.") + " …"


def one_line(text: str, limit: int = LONGEST_LINE) -> str:
    """Return ``text`` escaped, in one line of at most ``limit`` characters."""
    return cut(harmless(" ".join(cut(text, 4 * limit).split())), limit)
