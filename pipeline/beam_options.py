"""Checks `beam.args` before anything starts: the runner exists, and so do the options."""

import argparse
import contextlib
import difflib
import importlib
import io
from collections.abc import Sequence


def problem(beam_args: Sequence[str]) -> str | None:
    """What is wrong with Beam's arguments, or None. Imports Apache Beam (a second or two), not TensorFlow."""
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
    from apache_beam.runners.portability.portable_runner import PortableRunner
    from apache_beam.runners.runner import create_runner

    heard = io.StringIO()
    try:
        with contextlib.redirect_stderr(heard):  # argparse explains itself there
            options = PipelineOptions(list(beam_args))
            name = options.view_as(StandardOptions).runner
            runner = create_runner(name) if name else None
            if type(runner).__name__ == "DataflowRunner":
                importlib.import_module("apache_beam.runners.dataflow.internal.apiclient")  # else only once it runs
            # A portable runner's job server has options of its own.
            return None if isinstance(runner, PortableRunner) else _unknown(beam_args, PipelineOptions)
    except SystemExit:
        return heard.getvalue().strip().splitlines()[-1].rpartition("error: ")[2] + "."
    except ImportError as error:
        return f"the runner's package is not installed ({error}). Install it, or choose another runner."
    except (AttributeError, TypeError, ValueError) as error:
        return f"there is no such runner ({error})."


def _unknown(beam_args: Sequence[str], options_type: type) -> str | None:
    """The first argument that none of Beam's groups of options has; importing a runner has added its own group."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for group in {group.__name__: group for group in options_type.__subclasses__()}.values():
        group._add_argparse_args(parser)
    unknown = parser.parse_known_args(list(beam_args))[1]
    if not unknown:
        return None
    known = [name for action in parser._actions for name in action.option_strings]
    near = difflib.get_close_matches(unknown[0].partition("=")[0], known, n=1)
    return f"Beam has no option {unknown[0]!r}" + (f"; the nearest is {near[0]}." if near else ".")
