"""The one tokenizer of this project: Beam, training and the exported SavedModel all run this class."""

import reprlib
from collections.abc import Iterable
from pathlib import Path

import tensorflow as tf
import tensorflow_text as tf_text

from models.text import vocabulary_files, word_patterns
from models.text.vocabulary_files import TOKENIZERS, VOCABULARY_FILE

UNK_ID = 0
EOS_ID = 1
UNK = "<unk>"
EOS = "<eos>"

_BLANKS = r"[ \t\n\f\v]*"  # ASCII whitespace, as `tf.strings.split` sees it
_CONTINUED = "##"  # begins a wordpiece that continues the word before it


class Tokenizer(tf.Module):
    """Cuts texts into words, looks up their ids, and writes ids as text again.

    A text is cut at line ends (`\\n`, `\\r\\n`, `\\r`) and `<eos>` closes each line. Bytes that are not UTF-8 become
    U+FFFD. `<unk>` and `<eos>` in a text mean those symbols.

    Everything is made of TensorFlow and tensorflow-text operations that TensorFlow Serving links, and works on many
    texts at once: pass texts of about a megabyte for speed, not single lines.

    Args:
        tokenizer: "whitespace" (words are what ASCII whitespace separates: a no-break space or a NUL byte stays within
            its word; for corpora tokenized before), "unicode_words" (raw text: NFC, then words and punctuation as
            `models/text/word_patterns.py` has them) or "wordpiece" (the same words, cut into the vocabulary's pieces;
            of a run such as `###` each mark is a word).
        lowercase: Whether to lower-case the text, in every script.
        keep_blank_lines: Whether a blank line is a lone `<eos>` (WikiText) or nothing.
        vocabulary_file: One word a line, the line number being its id, `<unk>` and `<eos>` first. None for a tokenizer
            that only cuts texts, as long as there is no vocabulary.

    Attributes:
        tokenizer, lowercase, keep_blank_lines: The arguments.
        vocabulary_size: Number of words, `<unk>` and `<eos>` included; 0 without a vocabulary.

    Raises:
        ValueError: If `tokenizer` is not one of the three, or the vocabulary does not begin with `<unk>` and `<eos>`.

    Example:

    >>> tokenizer = Tokenizer("unicode_words", lowercase=True, keep_blank_lines=False)
    >>> tokenizer.words(tf.constant(["Don't panic!"])).to_list()
    [[b"don't", b'panic', b'!', b'<eos>']]
    """

    def __init__(
        self, tokenizer: str, lowercase: bool, keep_blank_lines: bool, vocabulary_file: str | Path | None = None
    ):
        super().__init__()
        if tokenizer not in TOKENIZERS:
            raise ValueError(f"tokenizer is {tokenizer!r}; it must be one of {', '.join(TOKENIZERS)}.")
        self.tokenizer = tokenizer
        self.lowercase = lowercase
        self.keep_blank_lines = keep_blank_lines
        self.vocabulary_size = 0
        self._pieces = None
        if vocabulary_file is not None:
            self._load_vocabulary(str(vocabulary_file))

    def _load_vocabulary(self, path: str) -> None:
        with open(path, "rb") as lines:
            first = [lines.readline().rstrip(b"\n").decode("utf-8", "replace") for _ in range(2)]
        if first != [UNK, EOS]:
            raise ValueError(
                f"{path} begins with the words {reprlib.repr(first)}; a vocabulary begins with {[UNK, EOS]}. "
                "Use the vocabulary.txt that VocabularyGen wrote."
            )
        line, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
        self._ids = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(path, tf.string, line, tf.int64, number), UNK_ID
        )
        self._words = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(path, tf.int64, number, tf.string, line), UNK
        )
        self.vocabulary_size = int(self._words.size())
        if self.tokenizer == "wordpiece":
            with open(path, encoding="utf-8", errors="replace", newline="\n") as lines:
                self._pieces = wordpiece_tokenizer(self._ids, (line.rstrip("\n") for line in lines), tf.string)

    @classmethod
    def load(cls, vocabulary_dir: str | Path) -> "Tokenizer":
        """Makes the tokenizer that VocabularyGen described.

        Args:
            vocabulary_dir: The folder with `vocabulary.txt` and `tokenizer.json`.

        Returns:
            The `Tokenizer` with that vocabulary.

        Raises:
            ValueError: If one of the files is not what VocabularyGen writes.
        """
        vocabulary_dir = Path(vocabulary_dir)
        return cls(**vocabulary_files.read_settings(vocabulary_dir), vocabulary_file=vocabulary_dir / VOCABULARY_FILE)

    def settings(self) -> dict:
        """Returns the constructor's arguments except the vocabulary, as in `tokenizer.json`."""
        return {
            "tokenizer": self.tokenizer,
            "lowercase": self.lowercase,
            "keep_blank_lines": self.keep_blank_lines,
        }

    def words(self, texts: tf.Tensor, open_last_line: bool = False) -> tf.RaggedTensor:
        """Cuts texts into words, with `<eos>` after each line. An empty text has no words.

        Args:
            texts: string `[N]`, any bytes.
            open_last_line: Whether a last line without a newline gets no `<eos>`, so that it can be continued. Default
                False.

        Returns:
            string `[N, (words)]`; with a wordpiece vocabulary, its pieces.
        """
        texts = _replace_invalid(texts)
        texts = tf.strings.regex_replace(texts, r"\r\n?", "\n")
        if self.tokenizer != "whitespace":
            texts = tf_text.normalize_utf8(texts, "NFC")
            texts = tf.strings.regex_replace(texts, word_patterns.SPACE, " ")
            texts = tf.strings.regex_replace(texts, word_patterns.INVISIBLE, "")
        texts = self._mark_lines(texts, open_last_line)
        if self.tokenizer != "whitespace":
            token = word_patterns.WORDPIECE_TOKEN if self.tokenizer == "wordpiece" else word_patterns.TOKEN
            texts = tf.strings.regex_replace(texts, token, r"\0 ")
        if self.lowercase:
            # A Turkish or Azerbaijani locale (LANG) would lower these two to other letters than all others do.
            texts = tf.strings.regex_replace(tf.strings.regex_replace(texts, "I", "i"), "İ", "i\u0307")
            texts = tf.strings.lower(texts, encoding="utf-8")
        words = tf.strings.split(texts)
        if self._pieces is not None:
            words = self._pieces.tokenize(words).merge_dims(1, 2)
        return words

    def _mark_lines(self, texts: tf.Tensor, open_last_line: bool) -> tf.Tensor:
        """Writes ` <eos> ` for the newline of every line that counts."""
        if self.keep_blank_lines:
            if not open_last_line:
                texts = tf.strings.regex_replace(texts, r"([^\n])\z", "\\1\n")
            return tf.strings.regex_replace(texts, r"\n", f" {EOS} ")
        if not open_last_line:
            texts = tf.strings.join([texts, "\n"])
        texts = tf.strings.regex_replace(texts, rf"\A{_BLANKS}", "")
        return tf.strings.regex_replace(texts, rf"\n{_BLANKS}", f" {EOS} ")

    def ids(self, words: tf.RaggedTensor) -> tf.RaggedTensor:
        """Looks up the ids of words.

        Args:
            words: string, any shape.

        Returns:
            int64 of the same shape, `UNK_ID` for unknown words.
        """
        return self._ids.lookup(words)

    def words_of(self, ids: tf.RaggedTensor) -> tf.RaggedTensor:
        """Looks up the words of ids.

        Args:
            ids: Integers, any shape.

        Returns:
            string of the same shape, `<unk>` where there is no such id.
        """
        return self._words.lookup(tf.cast(ids, tf.int64))

    def encode(self, texts: tf.Tensor, open_last_line: bool = False) -> tf.RaggedTensor:
        """Cuts texts into words and looks up their ids.

        Args:
            texts: string `[N]`, any bytes.
            open_last_line: As for `words`: whether a last line without a newline gets no `<eos>`. Default False.

        Returns:
            int64 `[N, (tokens)]`.
        """
        return self.ids(self.words(texts, open_last_line))

    def decode(self, ids: tf.RaggedTensor) -> tf.Tensor:
        """Writes ids as text, `<eos>` as a newline, with the spaces that a reader expects.

        Args:
            ids: integers `[N, (tokens)]`, ragged, or padded with negative ids, which are left out.

        Returns:
            string `[N]`.
        """
        if not isinstance(ids, tf.RaggedTensor):
            ids = tf.ragged.boolean_mask(ids, ids >= 0)
        words = self.words_of(ids)
        flat = words.flat_values
        glued = self._glued(words)
        if self.tokenizer == "wordpiece":
            flat = tf.strings.regex_replace(flat, rf"\A{_CONTINUED}(.)", r"\1")
        flat = tf.where(flat == EOS, "\n", flat)
        flat = tf.strings.join([tf.where(glued, "", " "), flat])
        return tf.strings.reduce_join(words.with_flat_values(flat), axis=-1)

    def _glued(self, words: tf.RaggedTensor) -> tf.Tensor:
        """Finds the words that no space comes before: bool `[words]`."""
        flat = words.flat_values
        is_eos = flat == EOS
        row = words.value_rowids()
        begins = (row != tf.concat([[-1], row[:-1]], 0)) | _shifted(is_eos)  # a text or a line
        glued = begins | is_eos
        if self.tokenizer == "whitespace":
            return glued
        closing = tf.strings.regex_full_match(flat, word_patterns.CLOSING)
        opening = tf.strings.regex_full_match(flat, word_patterns.OPENING)
        # Straight quotation marks look the same on both sides, so within a line they open and close in turn.
        is_quote = flat == '"'
        line = tf.cumsum(tf.cast(begins, tf.int32)) - 1
        before = tf.cumsum(tf.cast(is_quote, tf.int32), exclusive=True)
        closes = (before - tf.gather(tf.math.segment_min(before, line), line)) % 2 == 1
        closing |= is_quote & closes
        opening |= is_quote & ~closes
        wide = tf.strings.regex_full_match(flat, word_patterns.WIDE)  # scripts that write no spaces
        glued |= closing | _shifted(opening) | (wide & _shifted(wide))
        if self.tokenizer == "wordpiece":
            glued |= tf.strings.regex_full_match(flat, rf"{_CONTINUED}.+")
        return glued


def wordpiece_tokenizer(
    table: tf.lookup.StaticHashTable, pieces: Iterable[str], token_out_type: tf.DType
) -> tf_text.WordpieceTokenizer:
    """Makes a tokenizer that cuts words into the longest pieces that fit.

    A word becomes `<unk>` only where the vocabulary lacks one of its letters, however long the word is.

    Args:
        table: Piece to id, a negative id or that of `<unk>` where there is no such piece.
        pieces: The pieces of the table. A piece that continues a word begins with `##`.
        token_out_type: tf.string for pieces, tf.int64 for their ids.

    Returns:
        The `tensorflow_text.WordpieceTokenizer`.
    """
    longest = max((len(piece.removeprefix(_CONTINUED)) for piece in pieces), default=1)
    return tf_text.WordpieceTokenizer(
        table,
        suffix_indicator=_CONTINUED,
        max_bytes_per_word=2**31 - 1,  # in a script without spaces a word may be a whole sentence
        max_chars_per_token=longest,  # without it the time grows with the cube of a word's length
        token_out_type=token_out_type,
        unknown_token=UNK,
    )


def _replace_invalid(texts: tf.Tensor) -> tf.Tensor:
    """Replaces what is not UTF-8 in texts `[N]` by U+FFFD; a search first, at a tenth of the cost of transcoding."""
    valid = tf.reduce_all(tf.strings.regex_full_match(texts, word_patterns.UTF8))
    return tf.cond(
        valid,
        lambda: texts,
        lambda: tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace"),
    )


def _shifted(flags: tf.Tensor) -> tf.Tensor:
    """Moves flags `[n]` on by one place: each place gets the flag before it, the first gets False."""
    return tf.concat([tf.zeros_like(flags[:1]), flags[:-1]], 0)
