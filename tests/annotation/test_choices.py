"""Cues: no word of the right option is left readable in the passage."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import numpy as np
import pytest

from maskwright.annotation.choices import Cues
from maskwright.data.words import word_spans

MARKER = "[OPTION]"
NFD = unicodedata.normalize("NFD", "Sjögren syndrome")
PASSAGES = {  # by answer: a passage, and how many of its words stand in the answer
    "gout": ("Gout, says he, and GOUT again; no (gout) but gouty.", 3),
    "Crohn's disease": ("Crohn's disease, says he, after Crohn; Crohn’s disease.", 4),
    NFD: (f"A {NFD}, says he, or Sjögren syndrome.", 4),
    "हिन्दी भाषा": ("यह हिन्दी भाषा है, says he, हिन्दी।", 3),
}


def words(text: str) -> list[str]:
    text = unicodedata.normalize("NFC", text).casefold().replace("’", "'")
    return [text[start:end] for start, end in word_spans(text)]


def marked(document, keep=None):
    return Cues("cue", "options", "label", 0, MARKER, keep).mark(document)


def shown(document, cue_T, passage):
    """The words of the passage once its cues are hidden."""
    letters = list(document.text)
    for token in np.flatnonzero(cue_T):
        for place in range(int(document.start_T[token]), int(document.end_T[token])):
            letters[place] = " "
    return words("".join(letters)[: len(passage)])


@pytest.mark.parametrize("rule", ["rule", "spaces"])
@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
@pytest.mark.parametrize("answer", PASSAGES, ids=["plain", "apostrophe", "combining", "hindi"])
def test_no_word_of_the_answer_is_left_in_the_passage(answer, kind, rule, document_of):
    passage, number = PASSAGES[answer]
    document = document_of(f"{passage} {MARKER} {answer} {MARKER} none", kind, options=[answer, "none"], label=0)
    if rule == "spaces":
        before = [document.text[max(0, int(start) - 1) : int(start) + 1] for start in document.start_T]
        document = replace(document, begins_T=np.array([not start or " " in two for start, two in enumerate(before)]))
    cue_T = marked(document)
    left = shown(document, cue_T, passage)
    assert sum(word in words(answer) for word in words(passage)) == number
    assert not set(left) & set(words(answer)) and {"says", "he", ","} <= set(left)
    assert not cue_T[document.end_T > len(passage)].any()
    first_T = np.flatnonzero(document.begins_T)[document.word_T]
    assert (cue_T == cue_T[first_T]).all()  # a unit of words has its first token's rate


def test_words_that_are_no_cues_are_shown(document_of, tmp_path):
    (tmp_path / "keep.txt").write_text("Of\nthe\n", encoding="utf-8")
    passage, answer = "The fever of the marsh.", "Marsh of the king"
    document = document_of(f"{passage} {MARKER} {answer}", options=[answer], label=0)
    assert shown(document, marked(document, str(tmp_path / "keep.txt")), passage) == words("The fever of the .")
    assert shown(document, marked(document), passage) == words("fever .")
