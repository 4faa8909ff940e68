"""The recipes are the paper's."""

import pytest

from pipeline.config import presets


@pytest.mark.parametrize(
    ("name", "units", "keep", "decay", "clip", "init_scale"),
    [
        ("small", 200, (0.7, 0.8), (5, 0.9), 5, 0.1),
        ("medium", 650, (0.5, 0.6), (10, 0.9), 5, 0.05),
        ("large", 1500, (0.35, 0.6), (1, 0.97), 6, 0.04),
    ],
)
def test_presets_are_the_columns_of_the_papers_table(name, units, keep, decay, clip, init_scale):
    for dataset, kept in zip(("penn_treebank", "wikitext2"), keep, strict=True):
        recipe = presets.preset(name, dataset)
        assert recipe["model.dropout"] == pytest.approx(1 - kept)
        assert (recipe["model.units"], recipe["model.num_layers"], recipe["model.init_scale"]) == (units, 2, init_scale)
        assert (recipe["trainer.decay_start_epoch"], recipe["trainer.decay"]) == decay
        assert (recipe["trainer.learning_rate"], recipe["trainer.clip_norm"]) == (1.0, clip)
        assert (recipe["trainer.batch_size"], recipe["trainer.sequence_length"]) == (20, 35)
