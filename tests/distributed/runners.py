"""Checks for every Beam runner, which take its arguments. The embedded runner gives the expected results."""

import numpy as np

from components.evaluator import exported_model, sharded_reading
from models.text.token_stream import TokenStream, TokenWriter, write_index
from pipeline import score
from pipeline.scoring import with_beam
from tests.distributed.data_chain import EMBEDDED, contents, run, start


def check_treebank(beam_args, ptb_dir, folder):
    """The data components write the same bytes of the Penn Treebank."""
    settings = [
        "example_gen.dataset=penn_treebank",
        f"example_gen.data_dir={ptb_dir}",
        "example_gen.chunk_bytes=1000000",
    ]
    run(folder / "embedded", EMBEDDED, settings)
    run(folder / "other", beam_args, settings)
    assert contents(folder / "other") == contents(folder / "embedded")


def check_windows(beam_args, world, folder, monkeypatch):
    """The Evaluator reads the same numbers, window by window."""
    with TokenWriter(folder / "tokens") as writer:
        writer.write(np.resize(world.targets("train"), 3500))
    write_index(folder, [("tokens", writer.counts)])
    model = exported_model.ExportedModel(world.root / "good" / "Format-Serving")
    monkeypatch.setattr(sharded_reading, "SHARD_PROBABILITIES", 1)  # a shard for each window
    streams = [TokenStream(folder)]
    embedded, others = (
        list(sharded_reading.windows(model, streams, runner, folder)) for runner in (EMBEDDED, beam_args)
    )
    assert len(embedded) == 4
    for (row, one), (other_row, other) in zip(embedded, others, strict=True):
        assert (row, one.start) == (other_row, other.start)
        for name in ("targets", "rank", "log_probabilities", "top_probability"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def check_scoring(beam_args, world, folder, monkeypatch):
    """`pipeline.score` writes the same lines, and nothing else."""
    monkeypatch.setattr(with_beam, "CHUNK_BYTES", 300)
    monkeypatch.chdir(folder)
    (folder / "text.txt").write_text("alpha beta gamma\n\ndelta epsilon never-seen\n" * 40)
    for name, options in (("embedded", EMBEDDED), ("other", beam_args)):
        arguments = ["text.txt", "--output", name, "--model", str(world.root / "good" / "Format-Serving")]
        assert score.main([*arguments, *(f"--beam-arg={option}" for option in options)]) == 0
    assert (folder / "other").read_bytes() == (folder / "embedded").read_bytes()
    assert {path.name for path in folder.iterdir()} == {"text.txt", "embedded", "other"}


def refusal(beam_args, command, world, folder, capfd):
    """Returns the message with which `run` or `score` refuses these arguments, with exit code 2 and nothing written."""
    if command == "run":
        process = start(folder / "root", beam_args, [])
        _, errors = process.communicate(timeout=180)
        code, left = process.returncode, []
    else:
        (folder / "text.txt").write_text("alpha\n")
        model, output = world.root / "good" / "Format-Serving", folder / "scores"
        arguments = [str(folder / "text.txt"), "--output", str(output), "--model", str(model)]
        code = score.main([*arguments, *(f"--beam-arg={argument}" for argument in beam_args)])
        errors, left = capfd.readouterr().err, ["text.txt"]
    assert code == 2
    assert [path.name for path in folder.iterdir()] == left
    return errors
