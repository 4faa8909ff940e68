"""Writes a language model in the files that are usual on the Hugging Face Hub."""

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

from models.text.tokenizer import EOS_ID, UNK_ID

MODEL_TYPE = "tied_language_model"
VOCABULARY_FILE = "vocab.txt"
TOKENIZER_FILE = "tokenizer_config.json"
_OF_KERAS = ("name", "trainable", "dtype")  # keys of Keras's configuration that are no arguments of the model


def write(model, tokenizer, vocabulary_file: str | Path, folder: str | Path) -> None:
    """Writes `model.safetensors`, `config.json`, `model.keras` and what `write_tokenizer` writes.

    `config.json` has the arguments of `LanguageModel`; `model.keras` needs this package, the others do not.

    Args:
        model: A built `LanguageModel`.
        tokenizer: The `Tokenizer` of the model's text.
        vocabulary_file: The model's vocabulary, one word a line.
        folder: An existing folder.
    """
    folder = Path(folder)
    save_file(weights_by_name(model), folder / "model.safetensors", metadata={"format": "np"})
    write_json(folder / "config.json", config(model))
    write_tokenizer(tokenizer, vocabulary_file, folder)
    model.save(folder / "model.keras")


def write_tokenizer(tokenizer, vocabulary_file: str | Path, folder: str | Path) -> None:
    """Writes `vocab.txt`, one word a line, and `tokenizer_config.json`, the `Tokenizer`'s other arguments.

    Args:
        tokenizer: The `Tokenizer`.
        vocabulary_file: Its vocabulary, one word a line.
        folder: An existing folder.
    """
    shutil.copyfile(vocabulary_file, Path(folder) / VOCABULARY_FILE)
    write_json(Path(folder) / TOKENIZER_FILE, tokenizer.settings())


def config(model) -> dict[str, Any]:
    """Returns the contents of `config.json`.

    Args:
        model: A built `LanguageModel`.
    """
    arguments = {key: value for key, value in model.get_config().items() if key not in _OF_KERAS}
    head = {"model_type": MODEL_TYPE, "architectures": [type(model).__name__]}
    return {**head, "unk_token_id": UNK_ID, "eos_token_id": EOS_ID, **arguments}


def weights_by_name(model) -> dict[str, Any]:
    """Returns the weights as float32 arrays, by their names in `model.safetensors`.

    Args:
        model: A built `LanguageModel`.

    Returns:
        `embedding.weight` `[V, embedding_units]`; of each layer i `lstm.i.kernel` `[features, 4 * units]`,
        `lstm.i.recurrent_kernel` `[units, 4 * units]` and `lstm.i.bias` `[4 * units]`, the gates in the order i, f, g,
        o; where hidden states are projected `projection.kernel` `[units, embedding_units]`; where the output layer is
        not tied `output.weight` `[V, embedding_units]`, and `output.bias` `[V]` where it has one.
    """
    names = ["embedding.weight"]
    for layer in range(model.num_layers):
        names += [f"lstm.{layer}.{name}" for name in ("kernel", "recurrent_kernel", "bias")]
    names += ["projection.kernel"] if model.projection is not None else []
    names += [] if model.tie_embeddings else ["output.weight"]
    names += ["output.bias"] if model.output_bias else []
    variables = model.trainable_variables
    return {name: variable.numpy() for name, variable in zip(names, variables, strict=True)}


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Writes an indented JSON file.

    Args:
        path: The file.
        value: Its contents.
    """
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
