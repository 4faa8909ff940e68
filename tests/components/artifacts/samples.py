"""Whole contents of the artifacts' files, for tests of what reads them."""

import math


def split_statistics(split="train", **changes):
    """Statistics of a small, sound split."""
    statistics = {
        "split": split,
        "tokenizer": {"tokenizer": "whitespace", "lowercase": False, "keep_blank_lines": False},
        **dict.fromkeys(("documents", "lines", "blank_lines", "unk_tokens", "duplicated_lines"), 25),
        **{"bytes": 1000, "characters": 990, "tokens": 200, "invalid_bytes": 0, "nul_bytes": 0},
        **{"unk_share": 0.05, "invalid_fraction": 0.0, "duplicated_share": 0.01, "scripts": {"LATIN": 800}},
        "largest_document": {"name": "a.txt", "bytes": 40, "share": 0.04},
        "longest_line": {"bytes": 80, "document": "a.txt", "line": 3, "text": "a long line"},
        "line_length": {"mean": 20.5, "median": 19, "max": 80, "edges": [0, 1, 10], "counts": [0, 5, 20]},
    }
    if split != "train":
        statistics |= {"overlap_with_train": {"lines": 0, "share": 0.0}, "shared_lines": []}
    return statistics | changes


def epoch(number, **changes):
    """The record of an epoch."""
    return {
        "epoch": number, "train_perplexity": 500 / number, "valid_perplexity": 400 / number,
        "learning_rate": 0.9**number, "cross_entropy": 6.0 / number, "augmented_loss": 0.1, "gradient_norm": 2.0,
        "clipped": 0.25, "tokens_per_second": 9000.0, "seconds": 12.5,
    } | changes  # fmt: skip


def model_card(**changes):
    """The card of a model with float16 weights."""
    return {
        "run_id": "20261127-090000",
        "recipe": {"units": 8, "dropout": 0.0, "initial_model": None},
        "vocabulary": {"size": 42, "tokenizer": "whitespace", "lowercase": False, "keep_blank_lines": False},
        "data": {"train_tokens": 200, "eval_tokens": 50},
        "training": epoch(1),
        "export": {"export_dtype": "float16", "exported_valid_perplexity": 400.1, "export_loss": 0.00025},
    } | changes


def split_figures(perplexity, document="a.txt"):
    """The figures of an evaluated split."""
    bucket = {"num_tokens": 50, "cross_entropy": math.log(perplexity), "perplexity": perplexity, "bits_per_word": 6.6}
    bucket |= {"top_1_accuracy": 0.3, "top_5_accuracy": 0.4, "top_10_accuracy": 0.5}
    return {
        **bucket, "unigram_perplexity": 600.0, "bits_per_character": 1.4, "num_lines": 9, "num_characters": 300,
        "expected_calibration_error": 0.02,
        "calibration": [
            {"probability": 0.1, "accuracy": 0.2, "tokens": 9},
            {"probability": 0.5, "accuracy": 0.4, "tokens": 3},
        ],
        "slices": {"line_length": {"1": bucket, "2-5": bucket}, "document": {document: bucket}},
    }  # fmt: skip


def evaluation(reason="It is within.", document="a.txt", **changes):
    """The evaluation of a blessed model."""
    rule = {"rule": "evaluator.max_regression", "split": "eval", "slice": None, "value": 0.01, "limit": 0.02}
    baseline = {"metric": "perplexity", "candidate": 101.0, "baseline": 100.0, "change": 0.01, "low": -0.01}
    baseline |= {"high": 0.03, "judgement": "undecided", "version": 3, "path": "/serving/3", "digest": "0" * 64}
    return {
        "blessed": True,
        "splits": {"eval": split_figures(101.0, document), "test": split_figures(99.0, document)},
        "adaptive": {"cache": {"eval": 95.0, "test": 94.0, "settings": {"cache_lambda": 0.1}}},
        "subspace_distance": None,
        "baseline": baseline | {"splits": {"eval": split_figures(100.0, document)}},
        "rules": [rule | {"verdict": "passed", "undecided": True, "reason": reason}],
    } | changes


def trial(name, perplexities, status="completed", **values):
    """A search's trial."""
    return {"trial": name, "tuner": "tuner0", "status": status, "reason": None, "values": values, "epochs": 2,
            "valid_perplexity": perplexities, "seconds": 3.2}  # fmt: skip


def trials(*ended, best=0, **changes):
    """A search that has ended; the first trial has the default setting."""
    short = [{"trial": t["trial"], "valid_perplexity": min(t["valid_perplexity"], default=None), "values": t["values"]}
             for t in ended]  # fmt: skip
    return {
        "objective": "val_perplexity", "algorithm": "grid", "epochs": 2, "space": [], "seconds": 12.0,
        "unigram_perplexity": 700.0, "default": short[0], "best": short[best], "gain": 0.1 * best,
        "counts": {kind: sum(t["status"] == kind for t in ended) for kind in ("completed", "diverged", "failed")},
        "ended_by": "space", "trials": list(ended),
    } | changes  # fmt: skip
