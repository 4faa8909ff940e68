"""Hostile configuration files and assignments: each case ends with a message, or sets nothing."""

from pipeline import config
from pipeline.config import resolve
from tests.faults.hostile_cases import OTHER_FILES, check

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
)
YAML = [
    BOMB, "- a", "7", "text", "trainer: 3", "trainer: [1]", "trainer: {epochs: [1]}", "trainer: {epochs: {a: 1}}",
    "trainer: {epochs: 1e999}",
    "trainer: {epochs: .nan}", "trainer: {epochs: 99999999999999999999999}", "trainer: {epochs: " + "9" * 5000 + "}",
    "trainer: {epochs: 1.5}",
    "trainer: {epochs: true}", "trainer: {epochs: 010}", "trainer: {epochs: 1:30}", "trainer: {epochs: 2001-01-01}",
    "trainer: {epochs: ''}",
    "trainer: {learning_rate: -.inf}", "trainer: {learning_rate: 0}", "trainer: {learning_rate: -1}",
    "trainer: {epochs: 3, epochs: 4}",
    "trainer: {}\ntrainer: {}", "? [a]\n: 1", "? {a: 1}\n: 1", "trainer: {? [a] : 1}", "trainer:\n\tepochs: 3",
    "trainer: {epochs: 3",
    "trainer: !!python/object:os.system {}", "trainer: !!python/object/apply:os.system ['true']",
    "!!python/name:os.system", "trainer: !foo {}",
    "trainer: {epochs: !!timestamp x}", "trainer: {epochs: !!binary x}", "trainer: {epochs: !!int x}",
    "trainer: {epochs: !!float x}",
    "trainer: !!set {epochs}", "trainer: !!omap [a: 1]", "trainer: {epochs: !!null x}", "trainer: {epochs: !!bool x}",
    "trainer: &a {epochs: *a}", "a: &a [*a]", "trainer: *nothing", "--- {}\n--- {}", "%YAML 9.9\n---\n{}", "\0",
    "trainer: \x07", "\ufeff\ufefftrainer: {}",
    "[" * 5000, "{a: " * 3000, "- " * 4000, "a" * 100_000, "? " * 3000, "trainer: {<<: 3}", "trainer: {<<: [1]}",
    "<<: {trainer: {epochs: x}}",
    "trainer: {no_such_key: 1}", "no_such_section: {a: 1}", "trainer: {" + "k" * 5000 + ": 1}", "x" * 5000 + ": {a: 1}",
    "model: {preset: [a]}", "model: {preset: {a: 1}}", "model: {preset: huge}", "example_gen: {dataset: 5}",
    "example_gen: {dataset: [a]}",
    "example_gen: {data_dir: \"a\\0b\"}", "pipeline: {root: \"a\\0b\"}",
    "pipeline: {root: 3}", "pipeline: {root: []}", "pipeline: {serving_dir: \"\\0\"}", "beam: {args: text}",
    "beam: {args: [[a]]}",
    "beam: {args: [\"\\0\"]}", "evaluator: {rules: [1]}", "evaluator: {rules: {a: 1}}",
    "tuner: {space: [1]}", "tuner: {space: [{}]}", "tuner: {space: text}",
    "tuner: {enabled: true, space: [{name: nothing, kind: float, min: 0, max: 1}]}",
    "tuner: {enabled: true, space: [{name: dropout, kind: float, min: 1, max: 0}]}", "loss: {temperature_schedule: 3}",
    "loss: {temperature_schedule: {start: -1}}", "loss: {temperature_schedule: {begin: 1}}",
    "model: {tie_embeddings: true, output_bias: true}",
    "example_gen: {source_url: 'http://x'}", "example_gen: {source_sha256: zz}", "vocabulary: {max_size: 1}",
    "trainer: {replicas: 7}",
    "trainer: {" + ", ".join(f"k{i}: 1" for i in range(12_000)) + "}", "#" * (1 << 20) + "x",
]  # fmt: skip


def test_hostile_yaml_files_are_refused(tmp_path):
    def read(number, text):
        path = tmp_path / f"{number}.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
        return config.load(path)

    def named(text):
        return "" if isinstance(text, str) and ":" in text and len(text) < 200 else ".yaml"

    texts = [*YAML, *OTHER_FILES.values(), "trainer: {epochs: 3}".encode("utf-16"), b"trainer: {epochs: \xff}"]
    cases = [(f"{n}: {t[:60]!r}", named(t), lambda n=n, t=t: read(n, t)) for n, t in enumerate(texts)]

    def accepted(name, found):  # nothing was set, or a value that is valid
        return not found.changed or set(found.changed) <= {"trainer.epochs", "beam.args", "example_gen.source_sha256"}

    check(100, cases, config.ConfigurationError, accepted)


def test_every_key_refuses_a_mapping_and_odd_numbers(tmp_path):
    path = tmp_path / "my.yaml"

    def read(key, value):
        section, name = key.split(".")
        path.write_text(f"{section}: {{{name}: {value}}}\n")
        return config.load(path)

    values = ("{a: {b: [1]}}", "[[[]]]", "-1e400")
    cases = [
        (f"{key}={value}", key, lambda key=key, value=value: read(key, value))
        for key in resolve.BUILT_IN
        for value in values
    ]
    check(250, cases, config.ConfigurationError, lambda name, result: False)


def test_hostile_assignments_are_refused():
    texts = [
        "", "=", "=3", "trainer", "trainer.epochs", ".=1", "..=1", "trainer.=1", ".epochs=1", "trainer.epochs=",
        "trainer.epochs=[", "trainer.epochs={",
        "trainer.epochs={[1]: 2}", "trainer.epochs=!!python/object:os.system {}", "trainer.epochs=&a [*a]",
        "trainer.epochs=" + "[" * 4000,
        "trainer.epochs=" + "9" * 5000, "trainer.epochs=-3", "trainer.epochs=0", "trainer.epochs=0x",
        "trainer.epochs=①", "trainer.epochs=\0",
        "trainer.learning_rate=nan", "trainer.learning_rate=.nan", "trainer.learning_rate=1e999",
        "trainer.learning_rate=0.1.2", "trainer epochs=3",
        "TRAINER.EPOCHS=3", "trainer.epochs.x=3", "model.preset=\0", "example_gen.data_dir=",
        "example_gen.data_dir=\0", "example_gen.data_dir=~nosuchuser/x",
        "pipeline.root=~nosuchuser/x", "pipeline.root=" + "n" * 5000, "pipeline.root=\0", "vocabulary.tokenizer=bpe",
        "beam.args=--runner=x",
        "trainer.initial_model=\0", "model.pretrained_embeddings=\0", "model.dropout=1", "model.units=0",
        "model.units=99999999999999999999",
    ]  # fmt: skip
    cases = [(text[:60], "", lambda text=text: config.load(None, [text])) for text in texts]

    check(40, cases, config.ConfigurationError, lambda name, found: name == "trainer.epochs=")  # nothing is null
