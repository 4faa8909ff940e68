"""Suggests words while someone types, with only LiteRT's interpreter and NumPy, as a phone's keyboard does.

    python -m pipeline.export --format litert --output FOLDER
    pip install ai-edge-litert numpy
    python examples/on_device.py FOLDER

On a terminal, Tab takes the first suggestion, Backspace deletes, Ctrl-C ends. Input from a pipe is read key by key, and
a line is printed for each key.

Words are cut as the pipeline cuts them, with one simplification: in texts of the `unicode_words` and `wordpiece`
tokenizers, addresses, abbreviations, emoji and scripts without spaces are cut by simpler rules here.
"""

import itertools
import json
import math
import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

UNK_ID, EOS_ID = 0, 1
SHOWN = 3  # suggestions
NUMBER = r"\d{1,3}(?:,\d{3})+|\d{1,2}:\d{2}(?::\d{2})?|\.\d+"
WORD = rf"(?:{NUMBER}|\w)(?:[-'’.]?\w)*"
MARKS = r".\-=~*+/!?>'`^"  # a run of one of them is a word
RUNS = {"unicode_words": f"{MARKS}#", "wordpiece": MARKS}  # "##" begins a piece
WORDS = {kind: re.compile(rf"<unk>|<eos>|{WORD}|([{marks}])\1+|->|=>|<=|>=|!=|:=|\S") for kind, marks in RUNS.items()}
WORDS["whitespace"] = re.compile(r"[^ \t\f\v]+")


class Suggester:
    """A model that reads a text while it is typed: a key takes at most two steps.

    Args:
        folder: The folder that `python -m pipeline.export --format litert` wrote.

    Attributes:
        read: Ids of the tokens that were read, `<eos>` first.
    """

    def __init__(self, folder: Path):
        text = (folder / "vocab.txt").read_bytes().decode("utf-8", "replace")
        self._words = text.removesuffix("\n").split("\n")
        self._ids = {word: i for i, word in enumerate(self._words)}
        self._settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        model = Interpreter(str(folder / "model.tflite"))
        self._next_words, self._all_words = (model.get_signature_runner(name) for name in ("next_words", "step"))
        self._zeros = np.zeros(self._next_words.get_input_details()["state"]["shape"], np.float32)
        self.read = [EOS_ID]
        self._answers = [self._step(EOS_ID, self._zeros)]  # the model's answer after each token of `read`

    def suggest(self, text: str) -> list[tuple[str, float]]:
        """Finds the most probable next words that begin with the letters typed so far.

        Args:
            text: The whole text; an unfinished last word is the beginning of the next one.

        Returns:
            (word, probability) of at most ten words, best first.
        """
        words, typed = self.cut(text)
        tokens = [EOS_ID, *(token for word in words for token in self._tokens_of(word))]
        same = 0
        while same < min(len(tokens), len(self.read)) and tokens[same] == self.read[same]:
            same += 1
        del self.read[same:], self._answers[same:]
        for token in tokens[same:]:
            self._answers.append(self._step(token, self._answers[-1]["state"]))
            self.read.append(token)
        if typed:
            best = self._completions(typed)
        else:
            answer = self._answers[-1]
            best = [(int(i), float(p)) for i, p in zip(answer["ids"][0], answer["probabilities"][0], strict=True)]
        return [(self._words[i], probability) for i, probability in best if not self._words[i].startswith("##")]

    def _completions(self, typed: str) -> list[tuple[int, float]]:
        """Ids and probabilities of the best words that begin with the typed letters, chosen from all words."""
        before = self._answers[-2]["state"] if len(self._answers) > 1 else self._zeros
        outputs = self._all_words(token_ids=np.array(self.read[-1:], np.int64), state=before)
        scores = outputs["log_probabilities"][0]
        ids = [i for i, word in enumerate(self._words) if i > EOS_ID and word.startswith(typed)]
        return [(i, math.exp(scores[i])) for i in sorted(ids, key=lambda i: -scores[i])[:10]]

    def cut(self, text: str) -> tuple[list[str], str]:
        """Cuts a text into words, as the pipeline's tokenizer does.

        Args:
            text: The text.

        Returns:
            (the complete words, with `<eos>` after each line but the last; the beginning of the next word, or "").
        """
        text = re.sub(r"\r\n?", "\n", text)
        if self._settings["lowercase"]:
            text = text.lower()
        plain = self._settings["tokenizer"] == "whitespace"
        words = []
        *lines, last = text.split("\n")
        for line in lines:
            of_line = self._words_of(line)
            if of_line or self._settings["keep_blank_lines"]:
                words += [*of_line, "<eos>"]
        of_last = self._words_of(last)
        unfinished = bool(of_last) and not last[-1].isspace() and (plain or of_last[-1][-1].isalnum())
        typed = of_last.pop() if unfinished else ""
        return words + of_last, typed

    def _words_of(self, line: str) -> list[str]:
        kind = self._settings["tokenizer"]
        line = line if kind == "whitespace" else unicodedata.normalize("NFC", line)
        return [match.group() for match in WORDS[kind].finditer(line)]

    def _tokens_of(self, word: str) -> list[int]:
        if word in self._ids or self._settings["tokenizer"] != "wordpiece":
            return [self._ids.get(word, UNK_ID)]
        pieces, start = [], 0
        while start < len(word):  # the longest piece that fits
            before = "##" if start else ""
            ends = (end for end in range(len(word), start, -1) if before + word[start:end] in self._ids)
            end = next(ends, None)
            if end is None:
                return [UNK_ID]
            pieces.append(self._ids[before + word[start:end]])
            start = end
        return pieces

    def _step(self, token: int, state: np.ndarray) -> dict[str, np.ndarray]:
        return self._next_words(token_ids=np.array([token], np.int64), state=state)


def keys() -> Iterator[str]:
    """Yields the keys that are pressed, or the characters of standard input if it is no terminal."""
    if not sys.stdin.isatty():
        yield from sys.stdin.read().removesuffix("\n")
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        while key := sys.stdin.read(1):
            yield key
    except KeyboardInterrupt:
        print()
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def main() -> None:
    """Reads keys and prints the text with the best suggestions after each."""
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "model.tflite").is_file():
        sys.exit("usage: python examples/on_device.py FOLDER, which `python -m pipeline.export --format litert` wrote")
    suggester, text = Suggester(Path(sys.argv[1])), ""
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    for key in itertools.chain([""], keys()):
        suggestions = suggester.suggest(text)
        if key == "\t" and suggestions:
            typed = suggester.cut(text)[1]
            text = text[: len(text) - len(typed)] + suggestions[0][0] + " "
        elif key and key in "\x7f\b":
            text = text[:-1]
        elif key != "\t":
            text += key
        shown = ", ".join(f"{word} {probability:.2f}" for word, probability in suggester.suggest(text)[:SHOWN])
        if terminal:
            line = text.rpartition("\n")[2]
            print(f"\r\x1b[K{line}   [{shown}]\x1b[{len(shown) + 5}D", end="", flush=True)
        else:
            print(f"{text!r:40} {shown}")


if __name__ == "__main__":
    main()
