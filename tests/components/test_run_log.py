"""A run's log."""

import json
import logging

from components import run_log


def test_a_message_that_does_not_fit_its_arguments_stops_nobody(tmp_path, capsys):
    run_log.begin(tmp_path / "log.jsonl")
    handler = logging.getLogger().handlers[-1]
    try:
        for number in ("none", 3):
            handler.handle(logging.LogRecord("library", logging.WARNING, "", 0, "%d shards", (number,), None))
    finally:
        run_log.end()
    [line] = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(line)["message"] == "3 shards" and "Logging error" in capsys.readouterr().err
