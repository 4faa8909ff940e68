"""Runs whose texts could all be markup, and how a browser reads a page."""

import html.parser
from pathlib import Path

from components.artifacts import vocabulary
from components.artifacts.evaluation import EMBEDDING, EVALUATION, PREDICTIONS
from components.artifacts.model_run import HISTORY
from components.artifacts.splits import split_dir
from components.artifacts.statistics import ANOMALIES, SOURCES, STATISTICS
from tests.components.artifacts import samples

NAUGHTY = "<script>alert('$x^$')</script>&\"'"
WIRING = {  # component -> (inputs as component.output, outputs)
    "ExampleGen": ([], ["examples"]),
    "StatisticsGen": (["ExampleGen.examples"], ["statistics"]),
    "ExampleValidator": (["StatisticsGen.statistics"], ["anomalies"]),
    "VocabularyGen": (["ExampleGen.examples"], ["vocabulary"]),
    "Transform": (["ExampleGen.examples", "VocabularyGen.vocabulary"], ["transformed_examples"]),
    "Trainer": (["Transform.transformed_examples", "VocabularyGen.vocabulary"], ["model", "model_run"]),
    "Evaluator": (["Trainer.model", "Transform.transformed_examples", "ExampleGen.examples"], ["evaluation"]),
    "Pusher": (["Trainer.model"], ["pushed_model"]),
}


class Page(html.parser.HTMLParser):
    """A page as a browser reads it: ids, addresses that it would load or link, tags, charts' labels, visible text."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.addresses, self.tags, self.text, self._open = [], [], [], "", []
        self.policies, self.charts = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self._open.append(tag)
        if ("http-equiv", "Content-Security-Policy") in attributes:
            self.policies.append(dict(attributes)["content"])
        if tag == "svg":
            self.charts.append(dict(attributes)["aria-label"])
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "action", "poster", "data"):
                self.addresses.append(value)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" not in self._open:
            self.text += data + " "


def _write_artifacts(folders):
    for split in ("train", "eval", "test"):
        overlap = {} if split == "train" else {"overlap_with_train": {"lines": 1, "share": 0.04}}
        split_dir(folders["statistics"], split).mkdir(parents=True)
        STATISTICS.write(split_dir(folders["statistics"], split), samples.split_statistics(split, **overlap))
    for name in ("anomalies", "vocabulary", "model_run", "evaluation"):
        folders[name].mkdir(parents=True, exist_ok=True)
    suspect = {NAUGHTY: {"bytes": 1234, "invalid_bytes": 56, "nul_bytes": 7}}
    SOURCES.write(
        folders["statistics"], {"skipped": {f"{NAUGHTY}/pipe": "a named pipe"}, "outside": 3, "files": suspect}
    )
    ANOMALIES.write(folders["anomalies"], {"errors": [], "warnings": [f"Overlap of {NAUGHTY}"]})
    counts = {b"<unk>": 5, b"<eos>": 9, NAUGHTY.encode(): 7, b"word": 1}
    vocabulary.write_words(folders["vocabulary"], counts)
    vocabulary.FIGURES.write(folders["vocabulary"], {"size": 4, "tokens": 23, "coverage": 0.95})
    epochs = [samples.epoch(number) for number in (1, 2, 3)]
    HISTORY.write(folders["model_run"], {"steps_per_epoch": 10, "best_epoch": 3, "epochs": epochs})
    found = samples.evaluation(reason=f"Because of {NAUGHTY}.", document=NAUGHTY)
    EVALUATION.write(folders["evaluation"], found)
    guesses = [{"word": NAUGHTY, "probability": 0.25}, {"word": "", "probability": 0.0}]
    PREDICTIONS.write(
        folders["evaluation"], {"phrases": [{"text": NAUGHTY, "candidate": guesses, "baseline": guesses}]}
    )
    places = [{"word": NAUGHTY, "x": 0.0, "y": 0.5}, {"word": "$a_1$ 語", "x": 1.0, "y": 0.0}]
    neighbours = [{"word": NAUGHTY, "neighbours": [{"word": "near", "cosine": 0.75}]}]
    EMBEDDING.write(
        folders["evaluation"], {"neighbours": neighbours, "map": [*places, {"word": "b", "x": 0.2, "y": 0}]}
    )


def make_run(root: Path, last: str = "Pusher", exit_code: int = 0, run_id: str = "run-1") -> dict:
    """A run's record whose components up to `last` have run; a failure is the last one's."""
    names = list(WIRING)
    artifacts, components = {}, []
    for number, name in enumerate(names):
        inputs, keys = WIRING[name]
        reached = number <= names.index(last)
        failed = name == last and exit_code == 1
        outputs = {}
        for key in keys if reached and not failed else []:
            outputs[key] = {"uri": f"{name}/{key}/1", "type": key, "artifact_id": 10 + len(artifacts), "digest": "1f"}
            artifacts[f"{name}.{key}"] = outputs[key] | {"producer": name}
        components.append(
            {
                "name": name,
                "status": "failed" if failed else "executed" if reached else "skipped",
                "seconds": 1.5,
                "execution_id": number if reached else None,
                "figures": {"version": 4, "pushed_model": "/x/4"} if name == "Pusher" and reached else {},
                "parameters": {},
                "inputs": {i.partition(".")[2]: artifacts[i] for i in inputs if reached and i in artifacts},
                "outputs": outputs,
            }
        )
    folders = {key: root / name / key / "1" for name, (_, keys) in WIRING.items() for key in keys}
    _write_artifacts(folders)
    return {
        "run_id": run_id,
        "root": str(root),
        "started": "2026-01-02T03:04:05+00:00",
        "seconds": 12.0,
        "exit": exit_code,
        "error": f"{last}: the file {NAUGHTY} is missing" if exit_code == 1 else None,
        "configuration": {"trainer.epochs": 3, "example_gen.dataset": NAUGHTY, "model.units": 200},
        "defaults": {"trainer.epochs": 40, "example_gen.dataset": "python_docs", "model.units": 200},
        "summary": {"valid_perplexity": 101.0 if exit_code != 1 else None, "test_perplexity": None},
        "components": components,
    }
