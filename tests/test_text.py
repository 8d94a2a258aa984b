"""Foreign text: control characters have no effect on a terminal, and characters of languages stay unchanged."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.text import cut, harmless, one_line


@given(text=st.text())
def test_harmless_text_has_no_active_control_characters(text: str) -> None:
    shown = harmless(text)
    allowed = set("\n\t\u00ad\u200c\u200d")
    active = ("Cc", "Cf", "Cs", "Zl", "Zp")
    assert not [sign for sign in shown if unicodedata.category(sign) in active and sign not in allowed]
    assert shown.encode() == shown.encode("utf-8", "replace")
    assert len(one_line(text).splitlines()) <= 1


def test_lone_surrogates_and_escapes_are_shown_as_codes() -> None:
    assert harmless("\ud800\x1b[31m\u202e\x07\x9b") == r"\ud800\x1b[31m\u202e\x07\x9b"


TEXTS = ("Größe 5 × 3 ± 0,1", "精度 90 %", "दृष्टि", "naïve – “quoted”", "a\tb\nc", "👍🏽", "می‌خواهم")


@pytest.mark.parametrize("text", TEXTS)
def test_ordinary_text_stays_unchanged(text: str) -> None:
    assert harmless(text) == text


def test_long_text_keeps_its_beginning_and_end() -> None:
    text = cut("a" * 5_000 + "the end", 100)
    assert len(text) == 100 and text.startswith("aaa") and text.endswith("the end")
    assert len(one_line("x\n" * 10_000_000, 50)) <= 50
