"""The paper's table: a row a network and variant, trained to the end by the recipe of its preset.

python -m experiments.paper --tokens output/Transform/transformed_examples/ID --output results --only "small REAL"
"""

from experiments.grid import Setting, arguments, run
from models.presets import DROPOUT, PRESETS

VARIANTS = {
    "VD-LSTM": {"augmented": False, "tie_embeddings": False},
    "AL": {"tie_embeddings": False},
    "RE": {"augmented": False},
    "REAL": {},
}


def row(preset: str, variant: str) -> Setting:
    values = {key.partition(".")[2]: value for key, value in PRESETS[preset].items()}
    model = {key: values.pop(key) for key in ("units", "num_layers", "init_scale")}
    model["dropout"] = DROPOUT["penn_treebank"][preset]
    return Setting(f"{preset} {variant}", model | VARIANTS[variant], values)


if __name__ == "__main__":
    run([row(p, v) for p in PRESETS for v in VARIANTS], arguments(__doc__.splitlines()[0]).parse_args())
