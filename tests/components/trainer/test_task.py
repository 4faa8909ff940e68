"""`TF_CONFIG` in TensorFlow's own format, and the messages for one that cannot be used."""

import json

import pytest

from components.trainer import task

WORKERS = ["10.0.0.1:2222", "host-b:2222"]


def read(cluster, kind="worker", index=0):
    config = {"cluster": cluster, "task": {"type": kind, "index": index}, "environment": "cloud"}
    return task.from_environment({"TF_CONFIG": json.dumps(config)})


def test_the_first_worker_is_the_chief():
    first, second = (read({"worker": WORKERS}, index=index) for index in (0, 1))
    assert first.addresses == second.addresses == (("10.0.0.1", 2222), ("host-b", 2222))
    assert first.is_chief and not second.is_chief
    assert second.name(1) == "worker 1 (host-b:2222)"


def test_a_task_of_type_chief_comes_before_the_workers():
    cluster = {"worker": WORKERS, "chief": ["host-c:1"]}
    assert read(cluster, "chief").index == 0 and read(cluster, "worker", 1).index == 2
    assert read(cluster, "chief").addresses[0] == ("host-c", 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "TF_CONFIG is not set"),
        ("{'cluster'", "found .*, no JSON"),
        ("3", 'expected {"cluster"'),
        ("{}", "KeyError\\('cluster'\\)"),
        ('{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 2}}', "task index 2 is not one"),
        ('{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": "0"}}', "task index '0'"),
        ('{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "chief", "index": 0}}', "task index 0 is not one"),
        ('{"cluster": {"worker": ["a", "b:2"]}, "task": {"type": "worker", "index": 0}}', "found the address 'a'"),
        ('{"cluster": {"worker": ["a:1", "b:99999"]}, "task": {"type": "worker", "index": 0}}', "'b:99999'"),
        ('{"cluster": {"worker": ["a:1"], "ps": ["b:2"]}, "task": {"type": "worker", "index": 0}}', "cluster has ps"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}', "expected at least two workers"),
        ('{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}', "different addresses"),
        ('{"cluster": {"worker": [1, 2]}, "task": {"type": "worker", "index": 0}}', "AttributeError"),
    ],
)
def test_an_unusable_tf_config_is_an_error_that_says_why(text, message):
    with pytest.raises(ValueError, match=message) as raised:
        task.from_environment({"TF_CONFIG": text})
    assert "TF_CONFIG" in str(raised.value)
