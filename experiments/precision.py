"""Does bfloat16 train to the perplexity of float32? REAL and RE, three seeds, three epochs of the Penn Treebank.

python -m experiments.precision --tokens output/Transform/transformed_examples/ID --output results
"""

from experiments.grid import Setting, arguments, run

SETTINGS = [
    Setting(
        f"{variant} {precision} seed {seed}",
        {"augmented": variant == "REAL", "precision": precision, "seed": seed},
        {"epochs": 3},
    )
    for seed in (1, 2, 3)
    for variant in ("REAL", "RE")
    for precision in ("float32", "bfloat16")
]


if __name__ == "__main__":
    run(SETTINGS, arguments(__doc__.splitlines()[0]).parse_args())
