"""The tokenizer: lines, words of every kind, ids and texts written from them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tensorflow as tf

from models.text.tokenizer import EOS, EOS_ID, UNK, UNK_ID, Tokenizer
from tests.models.text.tokenizers import with_vocabulary, words

REPOSITORY = Path(__file__).parents[3]

PLAIN = Tokenizer("whitespace", lowercase=False, keep_blank_lines=False)
KEEPING = Tokenizer("whitespace", lowercase=False, keep_blank_lines=True)
UNICODE = Tokenizer("unicode_words", lowercase=False, keep_blank_lines=False)


@pytest.mark.parametrize(
    "text, dropping, keeping",
    [
        ("", "", ""),
        ("   ", "", "/"),
        ("\n", "", "/"),
        ("a", "a /", "a /"),
        ("a\n", "a /", "a /"),
        ("a\n\n", "a /", "a / /"),
        ("\n\na b\n \n\tc", "a b / c /", "/ / a b / / c /"),
        ("a\r\nb\r\n\r\nc\r\n", "a / b / c /", "a / b / / c /"),
        ("a\rb", "a / b /", "a / b /"),
        ("a\r\rb\r\n\rc\r", "a / b / c /", "a / / b / / c /"),
        (" a \v b \f\n", "a b /", "a b /"),
        ("a <unk> <eos> b\n", "a <unk> / b /", "a <unk> / b /"),
    ],
)
def test_every_line_ends_with_eos_and_blank_lines_are_dropped_or_kept(text, dropping, keeping):
    assert words(PLAIN, text) == dropping.split()
    assert words(KEEPING, text) == keeping.split()
    assert words(UNICODE, text) == dropping.split()


@pytest.mark.parametrize(
    "text, dropping, keeping",
    [
        ("", "", ""),
        ("a b", "a b", "a b"),
        ("a\nb c ", "a / b c", "a / b c"),
        ("a\n", "a /", "a /"),
        ("\n\na", "a", "/ / a"),
        ("a\n\n", "a /", "a / /"),
        ("a\rb\r", "a / b /", "a / b /"),
    ],
)
def test_the_last_line_can_be_left_open_until_a_newline_ends_it(text, dropping, keeping):
    assert words(PLAIN, text, open_last_line=True) == dropping.split()
    assert words(KEEPING, text, open_last_line=True) == keeping.split()


def test_whitespace_means_ascii_whitespace_only():
    assert words(PLAIN, "no\u00a0break em\u2003space a\0b\n") == ["no\u00a0break", "em\u2003space", "a\0b", "/"]


def test_bytes_that_are_not_utf8_become_the_replacement_character():
    for tokenizer in (PLAIN, UNICODE):
        assert words(tokenizer, b"ok \xff\n caf\xe9 end")[:3] == ["ok", "\ufffd", "/"]
    assert words(PLAIN, b"caf\xe9 x") == ["caf\ufffd", "x", "/"]


def test_valid_utf8_is_what_python_decodes():
    """Overlong forms, surrogates and what lies behind U+10FFFF among the rest; each text is judged on its own."""
    heads, ends = (
        (0x00, 0x7F, 0xC0, 0xC2, 0xE0, 0xE1, 0xED, 0xEE, 0xF0, 0xF3, 0xF4, 0xF5),
        (0x80, 0x8F, 0x90, 0x9F, 0xA0),
    )
    texts = [bytes([head, end, *more]) for head in heads for end in ends for more in (b"", b"\x80", b"\x80\xbf")]
    for text in texts:
        (row,) = PLAIN.words(tf.constant([b"x" + text])).to_list()
        try:
            text.decode()
            assert row == [b"x" + text, b"<eos>"]
        except UnicodeDecodeError:
            assert "\ufffd" in row[0].decode()


def test_many_texts_at_once_are_cut_as_one_by_one():
    texts = ["a b\nc", "", "\n", "d"]
    for tokenizer in (PLAIN, KEEPING, UNICODE):
        together = tokenizer.words(tf.constant(texts)).to_list()
        assert together == [tokenizer.words(tf.constant([text])).to_list()[0] for text in texts]
        assert tokenizer.words(tf.constant([], tf.string)).to_list() == []


READER = [
    # numbers
    ("3.14, 1,000 and -2.5", "3.14 , 1,000 and - 2.5"),
    ("It costs $1,234.50 (.5%).", "It costs $ 1,234.50 ( .5 % ) ."),
    ("at 12:30, on 2024-01-31", "at 12:30 , on 2024-01-31"),
    ("1e-5 2.5e+10 0xFF 21st 3D 10km", "1e-5 2.5e+10 0xFF 21st 3D 10km"),
    ("f(1, 2,3)", "f ( 1 , 2 , 3 )"),
    ("3.14<5", "3.14 < 5"),
    # words
    ("Don't you'll o’clock dogs' 'tis", "Don't you'll o’clock dogs ' ' tis"),
    ("a well-known, state-of-the-art - thing", "a well-known , state-of-the-art - thing"),
    ("The U.S. team, e.g. this, at 5 p.m.", "The U.S. team , e.g. this , at 5 p.m."),
    ("AT&T and R&D", "AT&T and R&D"),
    ('He said: "Go!"', 'He said : " Go ! "'),
    ("Wait... what?! Well… no--yes", "Wait ... what ? ! Well … no -- yes"),
    # addresses
    (
        "See https://docs.python.org/3/library/os.html#os.path, ok",
        "See https://docs.python.org/3/library/os.html#os.path , ok",
    ),
    ("(https://en.wikipedia.org/wiki/A_(b)).", "( https://en.wikipedia.org/wiki/A_(b) ) ."),
    ("<http://x.org/?a=1&b=2> www.example.com.", "< http://x.org/?a=1&b=2 > www.example.com ."),
    ("'www.example.com'.strip('cmo.')", "' www.example.com ' . strip ( ' cmo . ' )"),
    ("见https://x.org/a，然后", "见 https://x.org/a ， 然 后"),
    ("（https://x.org/词）。「www.x.org」", "（ https://x.org/词 ） 。 「 www.x.org 」"),
    ("https://x.org/?q=1؟ ثم https://x.org/b، و", "https://x.org/?q=1 ؟ ثم https://x.org/b ، و"),
    ("Mail jane.doe+x@mail.example.org.", "Mail jane.doe+x@mail.example.org ."),
    # identifiers
    ("os.path.join(a, __init__) x.T.shape", "os.path.join ( a , __init__ ) x.T.shape"),
    (">>> x = [1, 2]", ">>> x = [ 1 , 2 ]"),
    ("def f() -> int: a == b != c", "def f ( ) -> int : a == b != c"),
    ("*args, **kwargs, ``code``", "* args , ** kwargs , `` code ``"),
    ("=====\n", "====="),
    ("@property --help", "@ property -- help"),
    # reserved symbols
    ("the <unk>, x<unk>y <eos>", "the <unk> , x <unk> y /"),
    ("<<unk>>", "< <unk> >"),
    ("<UNK>", "< UNK >"),
    # scripts and symbols
    ("naïve cafe\u0301 Ångström", "naïve café Ångström"),
    ("क्षत्रिय नमस्ते।", "क्षत्रिय नमस्ते ।"),
    ('שלום, עולם! צה"ל', 'שלום , עולם ! צה"ל'),
    ("\u200fمرحبا\u200e بالعالم؟", "مرحبا بالعالم ؟"),
    ("می\u200cخواهم", "می\u200cخواهم"),
    ("東京タワーへ行く。", "東 京 タワー へ 行 く 。"),
    ("no\u00a0break, em\u2003space\u3000wide", "no break , em space wide"),
    ("nul\0byte \ufeffbom soft\u00adhyphen", "nul byte bom softhyphen"),
    ("hi👋🏽👋 👩\u200d💻 🇫🇷🇯🇵 ❤\ufe0f 1\ufe0f\u20e3", "hi 👋🏽 👋 👩\u200d💻 🇫🇷 🇯🇵 ❤\ufe0f 1\ufe0f\u20e3"),
    ("20°C ±5 ½ x²", "20 ° C ± 5 ½ x²"),
]


@pytest.mark.parametrize("text, expected", READER, ids=[text for text, _ in READER])
def test_unicode_words_are_those_a_reader_sees(text, expected):
    assert words(UNICODE, text) == [*expected.split(" "), "/"]


def test_the_word_pattern_fits_the_memory_of_its_automaton():
    text = tf.constant([("Don't panic: it costs $3.50 (see https://example.org). " * 20 + "\n") * 500])
    seconds = {}
    for tokenizer in (PLAIN, UNICODE):
        tokenizer.words(text)
        start = time.process_time()
        tokenizer.words(text)
        seconds[tokenizer.tokenizer] = time.process_time() - start
    assert seconds["unicode_words"] < 12 * seconds["whitespace"]  # 3 times; 25 where RE2 falls back to its slow search


def test_lower_casing_works_in_every_script_and_leaves_the_settings_readable():
    for kind in ("whitespace", "unicode_words"):
        tokenizer = Tokenizer(kind, lowercase=True, keep_blank_lines=False)
        assert words(tokenizer, "ÀÉ ДОМ Don'T") == ["àé", "дом", "don't", "/"]
        assert tokenizer.settings() == {"tokenizer": kind, "lowercase": True, "keep_blank_lines": False}


@pytest.mark.parametrize("locale", ["tr_TR.UTF-8", "C"])
def test_lower_casing_is_the_same_in_every_locale(locale):
    script = (
        "from models.text.tokenizer import Tokenizer\n"
        "words = Tokenizer('whitespace', lowercase=True, keep_blank_lines=False).words(['I TITLE İ ÇIĞ'])\n"
        "print(*(word.decode() for word in words[0].numpy()[:-1]))"
    )
    environment = os.environ | {"LC_ALL": locale, "LANG": locale, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, env=environment, capture_output=True)
    assert done.stdout.decode().split("\n")[0] == "I TITLE İ ÇIĞ".lower(), done.stderr.decode()


def test_encoding_looks_up_ids_and_unknown_words_are_unk(tmp_path):
    tokenizer = with_vocabulary(tmp_path, ["the", "cat", "a\0b"])
    assert tokenizer.vocabulary_size == 5
    ids = tokenizer.encode(tf.constant(["the cat sat\n", "a\0b <unk> <eos>", ""]))
    assert ids.dtype == tf.int64
    assert ids.to_list() == [[2, 3, UNK_ID, EOS_ID], [4, UNK_ID, EOS_ID, EOS_ID], []]
    assert tokenizer.words_of(ids).to_list()[0] == [b"the", b"cat", b"<unk>", b"<eos>"]
    assert tokenizer.encode(tf.constant(["the cat"]), open_last_line=True).to_list() == [[2, 3]]


def test_decoding_writes_lines_and_skips_padding(tmp_path):
    tokenizer = with_vocabulary(tmp_path, ["the", "cat"])
    text = "the cat\ncat the <unk>\n"
    assert tokenizer.decode(tokenizer.encode(tf.constant([text, ""]))).numpy().tolist() == [text.encode(), b""]
    assert tokenizer.decode(tf.constant([[2, 3, -1], [1, 1, 2]])).numpy().tolist() == [b"the cat", b"\n\nthe"]


@pytest.mark.parametrize(
    "text",
    [
        "He said: \"Don't go (yet), please!\"\nThat's $5.00, or 3.5%...\n",
        'Call os.path.join(a, b): "x" and "y".\n',
        "東京へ行く。\n",
    ],
)
def test_decoded_unicode_words_read_like_the_text(tmp_path, text):
    vocabulary = list(dict.fromkeys(word for word in words(UNICODE, text) if word != "/"))
    tokenizer = with_vocabulary(tmp_path, vocabulary, "unicode_words")
    assert (
        tokenizer.decode(tokenizer.encode(tf.constant([text]))).numpy()[0].decode().replace("join (", "join(") == text
    )


def test_wordpieces_rebuild_words_and_keep_reserved_symbols_whole(tmp_path):
    tokenizer = with_vocabulary(tmp_path, ["un", "##believ", "##able", "!", "it", "##s"], "wordpiece", lowercase=True)
    pieces = words(tokenizer, "Unbelievable! <unk> Xits its\n")
    assert pieces == ["un", "##believ", "##able", "!", "<unk>", "<unk>", "it", "##s", "/"]
    ids = tokenizer.encode(tf.constant(["Unbelievable! its\n"]))
    assert tokenizer.decode(ids).numpy()[0] == b"unbelievable! its\n"
    assert words(Tokenizer("wordpiece", True, False), "Unbelievable!") == ["unbelievable", "!", "/"]


def test_no_wordpiece_of_a_text_is_taken_for_one_that_continues_a_word(tmp_path):
    pieces = ["#", "###", "a", "##a", "C"]  # the piece `###` is a `#` within a word
    tokenizer = with_vocabulary(tmp_path, pieces, "wordpiece")
    ids = {piece: number for number, piece in enumerate([UNK, EOS, *pieces])}
    (encoded,) = tokenizer.encode(tf.constant(["### a ##a C###\n"])).to_list()
    mark, a = ids["#"], ids["a"]
    assert encoded == [mark, mark, mark, a, mark, mark, a, ids["C"], mark, mark, mark, EOS_ID]
    assert tokenizer.decode(tf.ragged.constant([encoded], tf.int64)).numpy()[0] == b"# # # a # # a C # # #\n"
    assert words(UNICODE, "### a") == ["###", "a", "/"]


def test_an_address_ends_before_every_mark_of_scripts_without_spaces():
    for mark in "，。、；：！？（）「」《》،؟؛۔।『』【】〈〉．":
        assert words(UNICODE, f"https://example.org/a{mark}请")[:2] == ["https://example.org/a", mark]


def test_a_word_of_any_length_is_spelled_by_its_letters(tmp_path):
    letters = "กขคง"
    pieces = [*letters, *(f"##{letter}" for letter in letters), "##กข"]
    tokenizer = with_vocabulary(tmp_path, pieces, "wordpiece")
    for repeats in (1, 8, 9, 100, 20_000):
        start = time.process_time()
        (ids,) = tokenizer.encode(tf.constant([letters * repeats])).to_list()
        assert UNK_ID not in ids
        assert time.process_time() - start < 5, "time grows with the length, not with a power of it"
        text = tokenizer.decode(tf.ragged.constant([ids], tf.int64)).numpy()[0]
        assert text.decode() == letters * repeats + "\n"
    assert words(tokenizer, "กขxค") == [UNK, "/"]


def test_ptb_is_cut_as_python_cuts_it(ptb_dir):
    text = (ptb_dir / "ptb.valid.txt").read_bytes()
    (row,) = PLAIN.words(tf.constant([text])).to_list()
    expected = [word for line in text.splitlines() for word in [*line.split(), b"<eos>"]]
    assert row == expected
    assert len(row) == 73_760


def test_an_unknown_kind_and_a_foreign_vocabulary_are_refused(tmp_path):
    with pytest.raises(ValueError, match="whitespace, unicode_words, wordpiece"):
        Tokenizer("sentencepiece", False, False)
    (tmp_path / "vocabulary.txt").write_text("the\ncat\n")
    with pytest.raises(ValueError, match="vocabulary.txt begins with"):
        Tokenizer("whitespace", False, False, tmp_path / "vocabulary.txt")
