"""A small run's artifacts and models trained more and less, for tests of the Evaluator."""

import json
import shutil

import keras
import numpy as np
import tensorflow as tf

from components.artifacts.evaluation import EVALUATION
from components.artifacts.vocabulary import FIGURES
from components.base import Context
from components.evaluator import executor
from components.evaluator.component import Evaluator
from models.language_model import LanguageModel
from models.serving.export import export
from models.text.token_stream import TokenStream, TokenWriter, write_index
from models.text.tokenizer import Tokenizer
from tests.components.examples_artifact import write_examples

CYCLE = "alpha beta gamma delta epsilon zeta eta theta iota kappa".split()
SETTINGS = {"tokenizer": "whitespace", "lowercase": False, "keep_blank_lines": False}


def text(lines, seed):
    """Lines that repeat a cycle of words, sometimes with a word that no vocabulary has."""
    generator = np.random.default_rng(seed)
    rows = []
    for _ in range(lines):
        start, length = generator.integers(10), generator.integers(1, 12)
        words = [CYCLE[(start + place) % 10] for place in range(length)]
        if generator.random() < 0.2:
            words[generator.integers(length)] = "rareword"
        rows.append(" ".join(words))
    return "\n".join(rows) + "\n"


TEXTS = {"train": text(600, 1), "eval": text(120, 2), "test": text(90, 3)}


def write_vocabulary(folder, words, settings=SETTINGS):
    folder.mkdir(parents=True)
    (folder / "vocabulary.txt").write_text("".join(f"{word}\n" for word in words))
    FIGURES.write(folder, {"size": len(words), "tokens": len(words), "coverage": 1.0})
    (folder / "tokenizer.json").write_text(json.dumps(settings))
    return Tokenizer.load(folder)


def write_two_documents(folder, texts):
    """Each split as two documents of one example each."""
    shards = {}
    for split, text in texts.items():
        middle = text.index("\n", len(text) // 3) + 1
        parts = enumerate((text[:middle], text[middle:]))
        shards[split] = [[(f"part {number}", number, part.encode()) for number, part in parts]]
    write_examples(folder, shards)


def write_tokens(folder, texts, tokenizer):
    for split, text in texts.items():
        (folder / f"Split-{split}").mkdir(parents=True)
        ids = tokenizer.encode(tf.constant([text])).values.numpy()
        with TokenWriter(folder / f"Split-{split}" / "tokens-00000-of-00001") as writer:
            for part in np.array_split(ids, 3):
                writer.write(part)
        write_index(folder / f"Split-{split}", [("tokens-00000-of-00001", writer.counts)])


def train(model, stream, steps):
    """Trains by plain gradient descent over windows of 20 lanes, which is enough to learn a cycle."""
    weights = [variable.value for variable in model.trainable_variables]

    @tf.function
    def descend(inputs, targets):
        with tf.GradientTape() as tape:
            logits = model(inputs)
            loss = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)) / 20
        for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            weight.assign_sub(tf.clip_by_norm(tf.convert_to_tensor(gradient), 2.0))

    tokens = stream[: len(stream) // 20 * 20].reshape(20, -1)
    for step in range(steps):
        start = step * 9 % (tokens.shape[1] - 10)
        descend(*(tf.constant(tokens[:, first : first + 9]) for first in (start, start + 1)))


def log_probabilities(model, targets):
    """The predictions of the whole stream at once, float64 [tokens, V]."""
    logits = tf.function(model)(tf.constant(np.concatenate([[1], targets[:-1]])[None], tf.int32))
    logits = logits[0].numpy().astype(np.float64)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


class World:
    """Artifacts of a small run: texts, tokens, vocabulary, and exported models by name."""

    def __init__(self, root):
        self.root = root
        self.tokenizer = write_vocabulary(root / "vocabulary", ["<unk>", "<eos>", *CYCLE])
        write_two_documents(root / "examples", TEXTS)
        write_tokens(root / "tokens", TEXTS, self.tokenizer)
        keras.utils.set_random_seed(1)
        self.model = LanguageModel(12, units=16, augmented=False, init_scale=0.3)
        self.log_probabilities = {}
        for name, further_steps in (("untrained", 0), ("weak", 60), ("good", 190)):
            train(self.model, TokenStream(root / "tokens" / "Split-train")[:], further_steps)
            self.log_probabilities[name] = {
                split: log_probabilities(self.model, self.targets(split)) for split in TEXTS
            }
            export(self.model, self.tokenizer, root / name / "Format-Serving", {"name": name})

    def targets(self, split):
        return TokenStream(self.root / "tokens" / f"Split-{split}")[:]

    def evaluate(self, name, folder, **parameters):
        """Runs the Evaluator; returns its figures, `evaluation.json` and the blessing's file name and text."""
        inputs = {
            "model": self.root / name,
            "examples": self.root / "examples",
            "transformed_examples": self.root / "tokens",
            "vocabulary": self.root / "vocabulary",
        }
        outputs = {key: folder / key for key in Evaluator.OUTPUTS}
        for output in outputs.values():
            shutil.rmtree(output, ignore_errors=True)
            output.mkdir(parents=True)
        context = Context("run", folder, progress=False)
        figures = executor.execute(inputs, outputs, Evaluator.Parameters(**parameters), context)
        evaluation = EVALUATION.read(outputs["evaluation"])
        (blessing,) = outputs["blessing"].iterdir()
        return figures, evaluation, blessing.name, blessing.read_text()
