"""What γ, τ, their schedules, the gradient through y~ and the target embedding do on the Penn Treebank.

    python -m pipeline.run --local --until Transform --set example_gen.dataset=penn_treebank \\
        --set example_gen.data_dir=../shared/data/ptb
    python -m experiments.augmented_loss --tokens output/Transform/transformed_examples/ID --output results
"""

from experiments.grid import Setting, arguments, run

EPOCHS = 4


def setting(name, recipe=None, **model):
    return Setting(name, {"precision": "bfloat16"} | model, {"epochs": EPOCHS} | (recipe or {}))


SETTINGS = [
    setting("RE", augmented=False),
    setting("REAL"),
    setting("REAL gamma 0.2", gamma=0.2),
    setting("VD", augmented=False, tie_embeddings=False),
    setting("AL", tie_embeddings=False),
    setting("REAL tau 5", temperature=5.0),
    setting("REAL gradient through target", gradient_through_target=True),
    setting("REAL gamma 0.02 (mean over steps)", gamma=0.65 / 35),
    setting("REAL init 0.05", init_scale=0.05),
    setting("REAL gamma warm-up 2 epochs", {"gamma": {"end": 0.65, "start": 0.0, "length": 2.0}}),
    setting("RE init 0.05", augmented=False, init_scale=0.05),
    setting("REAL tau 40", temperature=40.0),
    setting("REAL gamma 1", gamma=1.0),
    setting("REAL float32", precision="float32"),
    setting("REAL tau 5 to 20 in 2 epochs", {"temperature": {"end": 20.0, "start": 5.0, "length": 2.0}}),
    setting("REAL target held 500 steps", {"target_interval": 500}, target="held"),
    setting("REAL target average 0.999", {"target_decay": 0.999}, target="average"),
]


if __name__ == "__main__":
    run(SETTINGS, arguments(__doc__.splitlines()[0]).parse_args())
