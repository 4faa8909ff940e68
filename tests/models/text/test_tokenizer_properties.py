"""What holds for the tokenizer whatever the text, against Python's own functions."""

import re
import unicodedata

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from models.text.tokenizer import EOS, UNK, Tokenizer
from tests.models.text.tokenizers import with_vocabulary

WORDS = ["a", "b", "don't", "<", "é", "東"]
CHARACTERS = st.one_of(st.sampled_from("ab \t\n\r\v\f\0\xa0東"), st.characters(exclude_categories=["Cs"]))
PIECES = st.sampled_from([*WORDS, "x", UNK, EOS, " ", "  ", "\t", "\n", "\r\n", "\r"])
INVISIBLE = "\u200b\xad\ufeff"
# The other characters are those that every version of Unicode composes alike.
LINE = st.text(
    st.one_of(
        st.sampled_from("aZé9_.,'-’:;()<>@&#/\\%$\" …東か\u0301👋🏽☃|~^`" + INVISIBLE),
        st.characters(max_codepoint=0x24F, exclude_characters="\r\n"),
    ),
    max_size=80,
)
checked = settings(deadline=None, max_examples=80)


def words(tokenizer, text, **options):
    (row,) = tokenizer.words(tf.constant([text.encode()]), **options).to_list()
    return [word.decode() for word in row]


@checked
@given(st.text(CHARACTERS, max_size=60), st.booleans(), st.booleans())
def test_ascii_whitespace_separates_words_and_eos_ends_every_line_that_counts(text, keep_blank_lines, open_last_line):
    *closed, last = re.split(r"\r\n|\r|\n", text)
    if last and not open_last_line:
        closed, last = [*closed, last], ""
    expected = []
    for line in closed:
        found = re.findall(r"[^ \t\v\f]+", line)
        expected += [*found, EOS] if found or keep_blank_lines else []
    expected += re.findall(r"[^ \t\v\f]+", last)
    tokenizer = Tokenizer("whitespace", lowercase=False, keep_blank_lines=keep_blank_lines)
    assert words(tokenizer, text, open_last_line=open_last_line) == expected


@checked
@given(LINE)
def test_unicode_words_lose_no_visible_character(line):
    tokenizer = Tokenizer("unicode_words", lowercase=False, keep_blank_lines=False)
    visible = "".join(
        character
        for character in unicodedata.normalize("NFC", line)
        if unicodedata.category(character) not in ("Zs", "Zl", "Zp", "Cc") and character not in INVISIBLE
    )
    assert "".join(words(tokenizer, line)) == (visible + EOS if visible else "")


@pytest.fixture(scope="module", params=["whitespace", "unicode_words"])
def tokenizer(request, tmp_path_factory):
    return with_vocabulary(tmp_path_factory.mktemp("vocabulary"), WORDS, request.param, keep_blank_lines=True)


@checked
@given(pieces=st.lists(PIECES, max_size=30))
def test_a_decoded_text_has_the_same_ids(tokenizer, pieces):
    ids = tokenizer.encode(tf.constant([" ".join(pieces)]))
    assert tokenizer.encode(tokenizer.decode(ids)).to_list() == ids.to_list()


@checked
@given(texts=st.lists(st.text(CHARACTERS, max_size=20), max_size=5))
def test_a_text_has_the_same_ids_alone_and_among_others(tokenizer, texts):
    together = tokenizer.encode(tf.constant([text.encode() for text in texts], tf.string)).to_list()
    assert together == [tokenizer.encode(tf.constant([text.encode()])).to_list()[0] for text in texts]
