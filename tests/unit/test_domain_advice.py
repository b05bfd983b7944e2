"""Reasons in words: for each of them what happened, what the officer does with the camera, and what IT does."""

import re

import pytest

from dockd.domain.advice import ADVICE
from dockd.errors import Reason

FORBIDDEN = re.compile(r"\b(erase|format|delete|mkfs|fsck|repair|wipe)\b", re.IGNORECASE)


def test_every_reason_has_its_words() -> None:
    assert set(ADVICE) == set(Reason)


@pytest.mark.parametrize("reason", list(Reason))
def test_each_word_of_advice_is_said_and_is_a_sentence(reason: Reason) -> None:
    advice = ADVICE[reason]
    assert re.fullmatch(r"[a-z][^\n]{15,100}[^.]", advice.words), "goes on after the reason code"
    for sentence in (advice.officer, advice.it):
        assert re.fullmatch(r"[A-Z][^\n]{20,240}\.|.*dockd ingest\.|.*asks the store anew\.", sentence), sentence


@pytest.mark.promise("I6")
@pytest.mark.parametrize("reason", list(Reason))
def test_no_advice_is_to_erase_format_or_repair(reason: Reason) -> None:
    for sentence in (ADVICE[reason].officer, ADVICE[reason].it):
        for match in FORBIDDEN.finditer(sentence):
            assert sentence[: match.start()].lower().endswith("never "), sentence


def test_two_reasons_never_read_the_same() -> None:
    assert len({advice.words for advice in ADVICE.values()}) == len(Reason)
