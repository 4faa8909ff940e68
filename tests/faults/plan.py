"""The faults that are tried: what happens to the command, and when."""

import random
from dataclasses import dataclass

from pipeline.exit_codes import INTERRUPTED, TERMINATED

SIGNALS = {"SIGTERM": TERMINATED, "Ctrl-C": INTERRUPTED}  # a signal's name in an action -> the exit code that it gives
ENDINGS = (
    "kill the command",
    "kill the group",
    "SIGTERM to the command",
    "SIGTERM to the group",
    "Ctrl-C to the command",
    "Ctrl-C to the group",
)


@dataclass(frozen=True)
class Fault:
    """A fault of a running command.

    Attributes:
        action: One of the actions of `injection/sitecustomize.py`.
        moment: Description of the moment, for the record.
        match: Regular expression of the event ("write PATH", "rename PATH -> PATH", "remove PATH", "mkdir PATH",
            "sql STATEMENT") before which it is done.
        count: Number of the event among such events of a process, from 1.
        later: Number of further events of any kind to wait for.
        seen: Glob below the root: the harness causes the fault once such a file exists. For files that C++ writes.
        after: Seconds after which the harness causes the fault.
    """

    action: str
    moment: str
    match: str = ""
    count: int = 1
    later: int = 0
    seen: str = ""
    after: float | None = None

    @property
    def exit_code(self) -> int | None:
        """The exit code that the fault must lead to; None if the fault does not decide it."""
        return next((code for name, code in SIGNALS.items() if self.action.startswith(name)), None)


def in_component(action: str, name: str, **more) -> Fault:
    """Makes a fault just after a component was recorded as running."""
    return Fault(action, f"as {name} begins", rf"mkdir .*/\.staging/{name}-[^/]*$", **more)


def renamed(action: str, name: str) -> Fault:
    """Makes a fault between the rename of a component's output and its record in the metadata."""
    return Fault(
        action, f"between {name}'s rename and its record", rf"rename .*\.staging/{name}-[^/]*/[a-z_]+ -> ", later=2
    )


# In the order of the pipeline, so that one root meets all of them.
PLANNED = (
    Fault("kill the command", "as the metadata's tables are made", r"sql CREATE TABLE IF NOT EXISTS Event"),
    in_component("Ctrl-C to the group", "ExampleGen"),
    Fault("kill the command", "while ExampleGen writes a shard", seen=".staging/ExampleGen-*/**/*tfrecord*"),
    renamed("kill the command", "ExampleGen"),
    Fault("SIGTERM to the command", "within StatisticsGen's write", r"write .*staging/StatisticsGen-.*\.(json|tsv)"),
    Fault("kill the group", "within the commit of StatisticsGen", r"sql INSERT INTO Artifact ", later=3),
    Fault("Ctrl-C to the command", "within VocabularyGen's write", r"write .*staging/VocabularyGen-.*counts\.tsv"),
    renamed("kill the group", "VocabularyGen"),
    Fault("kill the command", "within Transform's index", r"write .*staging/Transform-.*/\.index\.json", count=2),
    Fault("SIGTERM to the group", "within a trial of the Tuner", r"write .*work/Tuner/", count=4),
    Fault("kill the command", "after the Tuner's first trial", r"write .*work/Tuner/.*trial_?1", count=1),
    renamed("kill the command", "Tuner"),
    Fault("kill the command", "within the Trainer's checkpoint", r"rename .*work/Trainer/.*\.npz -> "),
    Fault("SIGTERM to the command", "within the Trainer", r"write .*work/Trainer/.*\.npz"),
    Fault("kill this process", "in the training process alone", r"write .*work/Trainer/.*\.npz"),
    Fault("kill the group", "while the Trainer exports", seen=".staging/Trainer-*/model/**/variables*"),
    renamed("kill the command", "Trainer"),
    Fault("kill the command", "after the Trainer's record", r"rename .*Trainer/\.system/.* -> ", later=4),
    Fault("Ctrl-C to the group", "within the Evaluator's write", r"write .*staging/Evaluator-.*json"),
    in_component("kill the command", "InfraValidator", later=3),
    Fault("kill the command", "within a push, before the rename", r"rename .*serving/\.aside-1 -> "),
    Fault("kill the command", "within a push, after the rename", r"rename .*serving/\.aside-\d+ -> ", later=1),
    Fault("SIGTERM to the command", "within a push's record", r"write .*serving/\.\.pushes\.json"),
    renamed("kill the group", "Pusher"),
    Fault("kill the command", "while the report is written", r"write .*runs/.*report"),
)
# Each in its own root.
OUT_OF_MEMORY = (
    Fault("memory limit", "within VocabularyGen", r"write .*staging/VocabularyGen-.*tokenizer\.json"),
    Fault("memory limit", "within the Trainer", r"write .*work/Trainer/.*\.npz"),
)
FULL_DISK = (
    Fault("disk full", "as the run is recorded", r"sql INSERT INTO Context "),
    Fault("disk full", "within ExampleGen", r"mkdir .*\.staging/ExampleGen-.*/examples"),
    Fault(
        "disk full",
        "between StatisticsGen's rename and its record",
        r"rename .*StatisticsGen-[^/]*/[a-z_]+ -> ",
        later=2,
    ),
    Fault("disk full", "within Transform's index", r"write .*staging/Transform-.*/\.index\.json"),
    Fault("disk full", "within the Trainer's checkpoint", r"write .*work/Trainer/.*\.npz"),
    Fault("disk full", "within a push", r"write .*serving/\.aside-1/"),
    Fault("disk full", "while the report is written", r"write .*runs/.*report"),
)
# With Beam's worker processes, up to Transform.
WITH_WORKERS = (
    Fault("kill the command", "while ExampleGen's workers write", seen=".staging/ExampleGen-*/**/*tfrecord*"),
    in_component("SIGTERM to the command", "StatisticsGen", later=10),
    renamed("kill the group", "StatisticsGen"),
    in_component("Ctrl-C to the command", "Transform", later=10),
)
IN_CI = (0, 1, 3, 4, 5, 7, 8, 9, 12, 13, 15, 16, 20, 21, 22)  # places in PLANNED


def at_random(generator: random.Random) -> Fault:
    """Draws a fault at some write, or after some seconds."""
    action = generator.choice(ENDINGS)
    if generator.random() < 0.5:
        count = generator.randint(1, 60)
        return Fault(action, f"at write {count} below the root", r"^(write|rename|mkdir|remove) .*/root/", count=count)
    seconds = round(generator.uniform(0.5, 25), 2)
    return Fault(action, f"after {seconds} s", after=seconds)
