"""Scores every line of files with the pushed model: `python -m pipeline.score`; see --help."""

import argparse
import contextlib
import itertools
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from components import standard_error
from models.perplexity import perplexity
from models.serving import saved_model
from pipeline import program
from pipeline.exit_codes import DONE, FAILED, INTERRUPTED, USAGE_ERROR
from pipeline.program import UsageError
from pipeline.scoring.resumable import OutputError, ResumableOutput
from pipeline.serve import add_model_arguments, model_folder

# Only the standard library is imported here, so that --help and usage errors are fast.


class WorkersError(Exception):
    """Beam's workers failed or were lost."""


LINES_AT_ONCE = 2048  # lines that are sorted by length, then written together
BYTES_AT_ONCE = 4 * 2**20
ADAPTIVE_LINES_AT_ONCE = 32  # lines that are written together

EPILOG = """\
Each line of the output is a JSON object for a line of the input, in order: log_probability (natural logarithm),
num_tokens (the line's end counted; none where the line is blank, unless the model keeps blank lines), perplexity (1
without tokens). The file appears once it is complete; give the same command again to resume one that was interrupted,
unless it reads standard input. With --beam-arg the files are scored by Beam workers.
exit codes: 0 done; 1 an input broke off, the output cannot be written or the workers failed; 2 bad usage, nothing
started."""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line; exits with 2 and a usage line if it is wrong.

    Args:
        arguments: The words of the command line; by default those of this process.
    """
    parser = argparse.ArgumentParser(
        prog=program.name("score"),
        description="Scores every line of files with the pushed model.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="text, plain or gzip; - is standard input")
    parser.add_argument("--output", metavar="FILE", type=program.path, required=True, help="JSON lines to write")
    add_model_arguments(parser)
    parser.add_argument(
        "--beam-arg",
        metavar="ARG",
        action="append",
        default=[],
        help="an option of Apache Beam, such as --beam-arg=--runner=FnApiRunner; may be repeated",
    )
    parser.add_argument(
        "--adaptive",
        choices=("cache", "dynamic"),
        help="read the lines in order as one text with a model that adapts to it: a neural cache, dynamic evaluation",
    )
    parser.add_argument(
        "--setting",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a setting of --adaptive, such as cache_lambda=0.2 (the keys of the configuration's section evaluator)",
    )
    parser.add_argument(
        "--gradient-text",
        metavar="FILE",
        help="training text, from which --adaptive dynamic takes the scale of its gradients",
    )
    parsed = parser.parse_args(arguments)
    if parsed.adaptive and parsed.beam_arg:
        parser.error("--adaptive reads the lines in order; it does not go with --beam-arg")
    if (parsed.setting or parsed.gradient_text) and not parsed.adaptive:
        parser.error("--setting and --gradient-text go with --adaptive")
    if (parsed.adaptive == "dynamic") != (parsed.gradient_text is not None):
        parser.error("--gradient-text FILE goes with --adaptive dynamic, which needs it")
    return parsed


@standard_error.for_messages()
def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: The words of the command line; by default those of this process.

    Returns:
        The exit code.
    """
    parsed = parse_arguments(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from pipeline.scoring import lines

    try:
        lines.check(_inputs(parsed))
    except lines.InputError as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    try:
        folder = model_folder(parsed)
        model = saved_model.newest(folder)
        (_score_adaptively if parsed.adaptive else _score_with_beam if parsed.beam_arg else _score)(parsed, model)
        return DONE
    except (UsageError, OutputError) as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    except lines.InputError as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR if not _part_of(parsed.output).exists() else FAILED
    except WorkersError as error:
        print(error, file=sys.stderr)
        return FAILED
    except OSError as error:
        print(
            f"{error.filename or parsed.output}: {error.strerror or error}. What is scored is kept in "
            f"{_part_of(parsed.output)}: give the same command again to resume.",
            file=sys.stderr,
        )
        return FAILED
    except KeyboardInterrupt:
        print("Interrupted: give the same command again to resume.", file=sys.stderr)
        return INTERRUPTED


def _part_of(output: Path) -> Path:
    return output.with_name(f"{output.name}.part")


def _chunks_of(output: Path) -> Path:
    return output.with_name(f".{output.name}.chunks")


def _inputs(parsed: argparse.Namespace) -> list[str]:
    return [*parsed.files, *([parsed.gradient_text] if parsed.gradient_text else [])]


def _describe_sources(parsed: argparse.Namespace, model: Path) -> dict:
    """Describes what decides the output: the inputs and the model, by name, size and time."""
    files = _inputs(parsed)
    sizes = [[file, os.stat(file).st_size, os.stat(file).st_mtime_ns] if file != "-" else [file] for file in files]
    weights = os.stat(model / "variables" / "variables.index")
    return {"files": sizes, "model": [str(model.resolve()), weights.st_mtime_ns]}


@contextlib.contextmanager
def _output(parsed: argparse.Namespace, made_from: dict) -> Iterator[ResumableOutput]:
    """Opens the output to resume it. Lines that an earlier command scored from standard input cannot be resumed."""
    from pipeline.scoring.lines import STANDARD_INPUT

    output = ResumableOutput(parsed.output, made_from)
    try:
        if output.done and STANDARD_INPUT in _inputs(parsed):
            raise OutputError(
                f"{_part_of(parsed.output)} has {output.done:,} lines of a command that read standard input, which may "
                f"be another text now. Remove it and {parsed.output.name}.part.json to start again; score a file to be "
                "able to resume."
            )
        if output.done:
            print(f"Resuming after the {output.done:,} lines that are scored already.", file=sys.stderr)
        yield output
        output.finish()
        shutil.rmtree(_chunks_of(parsed.output), ignore_errors=True)  # of an interrupted command with --beam-arg
    except UsageError:
        output.discard_if_empty()
        raise
    finally:
        output.close()


def _score(parsed: argparse.Namespace, model: Path) -> None:
    from components.base import ComponentError
    from components.quiet_import import import_quietly
    from pipeline.scoring.lines import LineReader

    with _output(parsed, _describe_sources(parsed, model)) as output:
        try:
            scorer = import_quietly("pipeline.scoring.scorer").Scorer(model)
        except ComponentError as error:
            raise UsageError(str(error)) from error
        inputs = [LineReader(path) for path in parsed.files]
        lines = itertools.islice(itertools.chain.from_iterable(inputs), output.done, None)
        with _Progress(inputs, output.done) as progress:
            for group in _groups(lines):
                results, tokens = scorer.score(group)
                output.append(results)
                progress.advance(len(group), tokens)


def _score_adaptively(parsed: argparse.Namespace, model: Path) -> None:
    from components.base import ComponentError
    from components.quiet_import import import_quietly
    from pipeline.scoring.lines import LineReader

    adaptive = import_quietly("pipeline.scoring.adaptive")
    try:
        settings = adaptive.read_settings(parsed.adaptive, parsed.setting)
    except ValueError as error:
        raise UsageError(str(error)) from error
    chosen = {"mode": parsed.adaptive, **settings.of_mode(parsed.adaptive), "gradient_text": parsed.gradient_text}
    try:
        scorer = adaptive.AdaptiveScorer(model, parsed.adaptive, settings, parsed.gradient_text)
    except ComponentError as error:
        raise UsageError(str(error)) from error
    with _output(parsed, _describe_sources(parsed, model) | {"adaptive": chosen}) as output:
        inputs = [LineReader(path) for path in parsed.files]
        results, place = scorer.score(itertools.chain.from_iterable(inputs)), 0
        with _Progress(inputs, 0) as progress:
            while group := list(itertools.islice(results, ADAPTIVE_LINES_AT_ONCE)):
                # A score depends on all lines before it, so a resumed command reads those again without writing them.
                output.append(group[max(0, output.done - place) :])
                progress.advance(len(group), scorer.num_tokens - progress.tokens)
                place += len(group)
        total = perplexity(-scorer.log_probability / max(scorer.num_tokens, 1))
        print(f"Perplexity of the whole text: {total:.4f}", file=sys.stderr)


def _groups(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Yields lists of lines: few enough for the memory, many enough to sort by length."""
    group, size = [], 0
    for line in lines:
        group.append(line)
        size += len(line)
        if len(group) == LINES_AT_ONCE or size >= BYTES_AT_ONCE:
            yield group
            group, size = [], 0
    if group:
        yield group


def _score_with_beam(parsed: argparse.Namespace, model: Path) -> None:
    from components.base import ComponentError
    from components.quiet_import import import_quietly
    from pipeline.scoring.lines import STANDARD_INPUT

    if STANDARD_INPUT in parsed.files:
        raise UsageError("Standard input (-) cannot be cut among workers: write it to a file, or omit --beam-arg.")
    from pipeline.config import beam_options

    problem = beam_options.problem(parsed.beam_arg)
    if problem:
        raise UsageError(f"--beam-arg: found {parsed.beam_arg}: {problem}")
    made_from = _describe_sources(parsed, model)
    marker = ResumableOutput(parsed.output, made_from)
    try:
        with_beam = import_quietly("pipeline.scoring.with_beam")
        with with_beam.chunks_folder(_chunks_of(parsed.output), made_from) as folder:
            with_beam.score(model, parsed.files, folder, parsed.beam_arg, parsed.output)
        marker.forget()
    except ComponentError as error:
        raise WorkersError(str(error).replace("beam.args", "--beam-arg")) from error
    finally:
        marker.close()


class _Progress:
    """Shows a bar on standard error, and a line at the end. The bar counts bytes, if the inputs' sizes are known."""

    def __init__(self, inputs: list, done: int):
        import rich.progress as bars

        from components.terminal import can_redraw, make_console

        self._inputs, self._lines, self.tokens = inputs, done, 0
        sizes = [lines.size for lines in inputs]
        console = make_console()
        columns = [bars.BarColumn(), bars.TaskProgressColumn(), bars.TextColumn("{task.fields[figures]}")]
        self._bar = bars.Progress(
            *columns, bars.TimeRemainingColumn(), console=console, transient=True, disable=not can_redraw(console)
        )
        self._task = self._bar.add_task("", total=None if None in sizes else sum(sizes), figures="")

    def __enter__(self) -> "_Progress":
        self._bar.start()
        return self

    def __exit__(self, kind, *_) -> None:
        self._bar.stop()
        if kind is None:
            self._bar.console.print(f"{self._lines:,} lines, {self._figures()}.")

    def advance(self, lines: int, tokens: int) -> None:
        """Counts lines that were written, and their tokens.

        Args:
            lines: How many lines.
            tokens: How many tokens these lines have.
        """
        self._lines += lines
        self.tokens += tokens
        read = sum(item.bytes_read for item in self._inputs)
        self._bar.update(self._task, completed=read, figures=self._figures())

    def _figures(self) -> str:
        seconds = self._bar.tasks[0].elapsed or 1e-9
        return f"{self.tokens:,} tokens, {self.tokens / seconds:,.0f} tokens/s"


if __name__ == "__main__":
    sys.exit(main())
