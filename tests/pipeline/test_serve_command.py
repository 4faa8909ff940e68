"""The command `python -m pipeline.serve`: what it refuses, and how it stops."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

from pipeline.serve import main


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "has no version in it"),
        (lambda path: path.write_text(""), "is a file"),
    ],
)
def test_a_folder_without_a_model_is_refused_in_words(tmp_path, capsys, make, words):
    make(tmp_path / "serving")
    assert main(["--model", str(tmp_path / "serving")]) == 2
    error = capsys.readouterr().err
    assert words in error and str(tmp_path / "serving") in error and "make run" in error


def test_the_configured_serving_folder_is_the_default(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text(f"pipeline: {{serving_dir: {tmp_path}/here}}")
    assert main(["--config", str(tmp_path / "config.yaml")]) == 2
    assert f"{tmp_path}/here (pipeline.serving_dir) does not exist" in capsys.readouterr().err


def test_a_port_in_use_is_refused_in_words(tmp_path, capsys):
    (tmp_path / "1").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--model", str(tmp_path), "--port", str(port)]) == 2
    error = capsys.readouterr().err
    assert f"127.0.0.1:{port}" in error and "--port" in error


@pytest.mark.parametrize("arguments", [["--port", "70000"], ["--versions", "0"], ["--max-body-bytes", "x"]])
def test_wrong_options_are_usage_errors(arguments):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)


def test_sigterm_stops_after_the_request_in_flight(versions):
    command = [sys.executable, "-m", "pipeline.serve", "--model", str(versions), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        lines = iter(process.stderr.readline, "")
        line = next(line for line in lines if "The page is at" in line)
        threading.Thread(target=process.stderr.read, daemon=True).start()
        address = line.split("The page is at ")[1].split("/,")[0]
        inputs = {"prompt": "w1", "max_words": 3000, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 1}
        answers = []

        def ask():
            body = json.dumps({"signature_name": "generate", "instances": [inputs]})
            answers.append(httpx.post(f"{address}/v1/models/lm:predict", content=body, timeout=120))

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        asking.join()
        assert process.wait(60) == 0
        assert answers[0].status_code == 200 and len(answers[0].json()["predictions"][0].split()) == 3000
    finally:
        process.kill()
