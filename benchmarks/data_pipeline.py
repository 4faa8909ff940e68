"""Times ExampleGen to Transform, by the command that users run: the Penn Treebank, and texts of growing size.

    python -m benchmarks.data_pipeline [--data-dir DIR] [--megabytes 64 256 1024] [--distinct 10] [--output FILE]

The texts are the Penn Treebank's train split repeated, each copy with other random changes, as one file. A MB is 10**6
bytes. Processor seconds are those of all processes: text / processor seconds is the rate of one core. The largest text
takes three times its size of temporary space (TMPDIR). `--distinct` also measures a text of that many million distinct
words, each of them twice in it.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import command, corpus
from benchmarks.report import TREEBANK, Row, add_arguments, publish, skipped

MB = 10**6
START = """
import components.example_gen.executor, components.transform.executor
import apache_beam
from components import beam_pipeline
with beam_pipeline.open_pipeline(["--runner=FnApiRunner"]) as root:
    root | apache_beam.Create([0])
"""


@dataclass(frozen=True)
class Chain(command.Usage):
    """Time and memory of the components.

    Attributes:
        disk_bytes: Size of all files that they wrote.
    """

    disk_bytes: int


def run_chain(*settings: str, until: str = "Transform") -> Chain:
    """Runs ExampleGen and the components after it in a new root.

    Args:
        *settings: Settings, KEY=VALUE.
        until: The last component. Default "Transform".

    Returns:
        Time, memory and disk space of the run.
    """
    with tempfile.TemporaryDirectory() as root:
        arguments = ["--local", "--until", until]
        for setting in (f"pipeline.root={root}", *settings):
            arguments += ["--set", setting]
        usage = command.run([sys.executable, "-m", "pipeline.run", *arguments], memory=True)
        written = sum(path.stat().st_size for path in Path(root).rglob("*") if path.is_file())
    return Chain(**vars(usage), disk_bytes=written)


def seconds_by_component(usage: command.Usage) -> str:
    """Lists the seconds of each component, such as `ExampleGen 5.2 s, ...`.

    Args:
        usage: What a run of the pipeline printed and used.
    """
    components = json.loads(usage.output.splitlines()[-1])["components"]
    return ", ".join(f"{name} {c['seconds']:.1f} s" for name, c in components.items() if c["status"] == "executed")


def rows(data_dir: Path | None, sizes: Sequence[int], millions: Sequence[int]) -> Iterator[Row]:
    """Yields all rows, each as soon as it is measured.

    Args:
        data_dir: Folder of the Penn Treebank, or None to skip what needs it.
        sizes: Sizes of text in MB, ascending.
        millions: Numbers of distinct words, in millions.
    """
    for number in millions:
        yield from distinct_words(number)
    if absent := skipped("ExampleGen to Transform", data_dir):
        yield from absent
        return
    yield from treebank(data_dir)
    if sizes:
        yield from growing(data_dir / TREEBANK[0], sizes)


def treebank(data_dir: Path) -> Iterator[Row]:
    """Yields the rows of the Penn Treebank, and of the start of the libraries, which is a part of them.

    Args:
        data_dir: Folder of the Penn Treebank.
    """
    start = command.run([sys.executable, "-c", START])
    yield Row("importing TensorFlow and Beam, an empty pipeline", start.seconds, "s")
    usage = run_chain("example_gen.dataset=penn_treebank", f"example_gen.data_dir={data_dir}")
    yield Row("PTB: the command, its start included", usage.seconds, "s", 25, note=seconds_by_component(usage))


def growing(source: Path, sizes: Sequence[int]) -> Iterator[Row]:
    """Yields the rows of texts of each size, then the growth of time and memory from the first size to the others.

    Args:
        source: File with the text to repeat.
        sizes: Sizes in MB, ascending.
    """
    usages: dict[int, Chain] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            corpus.write(Path(folder) / "text.txt", size * MB, source)
            settings = ["example_gen.dataset=text_files", f"example_gen.data_dir={folder}"]
            usages[size] = run_chain(*settings, "vocabulary.tokenizer=whitespace")
            yield from _rows(f"{size:,} MB, whitespace", size, usages[size], with_goals=True)
            if size == sizes[0]:
                usage = run_chain(*settings, "vocabulary.tokenizer=unicode_words")
                yield from _rows(f"{size:,} MB, unicode_words", size, usage, with_goals=False)
    first = usages[sizes[0]]
    for size in sizes[1:]:
        name, growth = f"{sizes[0]:,} to {size:,} MB", size / sizes[0]
        yield Row(f"{name}: growth of the time / of the text", usages[size].seconds / first.seconds / growth, "", 1.1)
        yield Row(f"{name}: growth of the peak memory", usages[size].peak_bytes / first.peak_bytes, "", 1.1)


def distinct_words(millions: int) -> Iterator[Row]:
    """Yields the rows of ExampleGen to VocabularyGen on a text of many distinct words.

    Args:
        millions: Number of distinct words, in millions.
    """
    count = millions * 10**6
    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / "text.txt").open("w") as file:
            for start in (*range(0, count, 10), *range(0, count, 10)):
                file.write(" ".join(f"w{number:x}" for number in range(start, start + 10)) + "\n")
        settings = [
            "example_gen.dataset=text_files",
            f"example_gen.data_dir={folder}",
            "vocabulary.tokenizer=whitespace",
        ]
        usage = run_chain(*settings, until="VocabularyGen")
    name = f"{millions:,} million distinct words, to VocabularyGen"
    yield Row(f"{name}: the command", usage.seconds, "s", note=seconds_by_component(usage))
    yield Row(f"{name}: peak memory", usage.peak_bytes / 1e9, "GB", 2.5)


def _rows(name: str, size: int, usage: Chain, with_goals: bool) -> Iterator[Row]:
    yield Row(f"{name}: the command, its start included", usage.seconds, "s", note=seconds_by_component(usage))
    rate = size / usage.cpu_seconds
    yield Row(f"{name}: text / processor seconds", rate, "MB/s", 2 if with_goals else None, "at least")
    yield Row(f"{name}: peak memory", usage.peak_bytes / 1e9, "GB", 2.5 if with_goals else None)
    yield Row(f"{name}: written, of the text", usage.disk_bytes / size / MB, "times")


def main() -> None:
    """Runs the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--megabytes", type=int, nargs="*", default=[64, 256, 1024], help="sizes of text, ascending")
    parser.add_argument("--distinct", type=int, nargs="*", default=[], help="millions of distinct words of a text")
    add_arguments(parser)
    options = parser.parse_args()
    publish(rows(options.data_dir, options.megabytes, options.distinct), options.output)


if __name__ == "__main__":
    main()
