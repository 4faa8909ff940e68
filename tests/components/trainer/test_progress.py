"""What a log shows of a training while it runs."""

import re

import pytest

from components.base import Context
from components.trainer import progress
from components.trainer.progress import TrainingProgress, time_left
from tests.components.artifacts import samples


class Training:
    """A fake training of 2 epochs of 100 steps that takes one second for each step."""

    def __init__(self):
        self.history, self.window, self.steps, self.tokens_per_second, self.best_epoch = [], 0, 100, 35.0, 1

    @property
    def finished(self):
        return len(self.history) == 2


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def shown(tmp_path, clock, capfd, **options):
    training = Training()
    shown = TrainingProgress(Context("run", tmp_path, progress=False, **options), epochs=2)
    with shown.of(training):
        for epoch in range(2):
            for training.window in range(1, 101):
                clock[0] += 1
                shown.on_train_batch_end(training.window - 1, {"perplexity": 99.0})
            training.window = 0
            training.history.append(
                samples.epoch(epoch + 1, train_perplexity=99.0, valid_perplexity=98.0, tokens_per_second=35.0)
            )
            shown.on_epoch_end(epoch)
    return capfd.readouterr().err


def test_the_remaining_time_is_shown_within_the_first_minute_and_after_each_epoch(tmp_path, clock, capfd):
    lines = shown(tmp_path, clock, capfd).splitlines()
    first, first_epoch, second_epoch = (line for line in lines if line.startswith("epoch"))
    assert re.fullmatch(r"epoch   1/2  31%  training    99.00      35 tokens/s  3 min left", first)  # 169 s
    assert re.fullmatch(r"epoch   1/2  training    99.00  valid    98.00      35 tokens/s  2 min left", first_epoch)
    assert "left" not in second_epoch
    assert max(map(len, (first, first_epoch, second_epoch))) <= 80


def test_a_quiet_training_shows_nothing(tmp_path, clock, capfd):
    assert shown(tmp_path, clock, capfd, quiet=True) == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(5, "under 1 min left"), (3000, "50 min left"), (12_000, "3 h 20 min left"), (200_000, "2 days 7 h left")],
)
def test_a_remaining_time_is_as_precise_as_its_estimate(seconds, words):
    assert time_left(seconds) == words
