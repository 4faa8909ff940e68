"""The command `python -m pipeline.serve`: what it refuses, and how it stops."""

import concurrent.futures
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

from pipeline.exit_codes import INTERRUPTED, TERMINATED, USAGE_ERROR
from pipeline.serve import main


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "has no version in it"),
        (lambda path: path.write_text(""), "is a file"),
    ],
)
def test_a_folder_without_a_model_is_refused_with_a_message(tmp_path, capsys, make, words):
    make(tmp_path / "serving")
    assert main(["--model", str(tmp_path / "serving")]) == USAGE_ERROR
    error = capsys.readouterr().err
    assert words in error and str(tmp_path / "serving") in error and "make run" in error


def test_the_configured_serving_folder_is_the_default(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text(f"pipeline: {{serving_dir: {tmp_path}/here}}")
    assert main(["--config", str(tmp_path / "config.yaml")]) == USAGE_ERROR
    assert f"{tmp_path}/here (pipeline.serving_dir) does not exist" in capsys.readouterr().err


def test_a_port_in_use_is_refused_with_a_message(tmp_path, capsys):
    (tmp_path / "1").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--model", str(tmp_path), "--port", str(port)]) == USAGE_ERROR
    error = capsys.readouterr().err
    assert f"127.0.0.1:{port}" in error and "--port" in error


@pytest.mark.parametrize("arguments", [["--port", "70000"], ["--versions", "0"], ["--max-body-bytes", "x"]])
def test_wrong_options_are_usage_errors(arguments):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)


def address_of(process):
    """The server's address, once it serves."""
    line = next(line for line in iter(process.stderr.readline, "") if "The page is at" in line)
    return line.split("The page is at ")[1].split("/,")[0]


def test_sigterm_stops_after_the_request_in_flight(versions):
    command = [sys.executable, "-m", "pipeline.serve", "--model", str(versions), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        address = address_of(process)
        threading.Thread(target=process.stderr.read, daemon=True).start()
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


def test_sigterm_ends_the_server_though_requests_would_take_longer(versions):
    """Eight long requests, which run one after another, and a grace of two seconds."""
    script = "from pipeline import serve; serve.GRACE_SECONDS = 2; serve.command()"
    command = [sys.executable, "-c", script, "--model", str(versions), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        address = address_of(process)
        inputs = {"prompt": "w1", "max_words": 10_000, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 1}
        body = json.dumps({"signature_name": "generate", "instances": [inputs] * 2})
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            predict = f"{address}/v1/models/lm:predict"
            asked = [pool.submit(httpx.post, predict, content=body, timeout=60) for _ in range(8)]
            time.sleep(1)
            start = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == TERMINATED
            assert time.monotonic() - start < 10
            answers = [future.result() for future in asked]
        cut_off = [answer for answer in answers if answer.status_code == 503]
        assert cut_off and all("stopped before it had the answer" in answer.json()["error"] for answer in cut_off)
        log = process.stderr.read()
        assert f"Requests cut off: {len(cut_off)}." in log and "Traceback" not in log
    finally:
        process.kill()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot keep a process on one processor")
def test_on_one_processor_a_long_request_leaves_room_for_short_ones(versions):
    one = f"import os; os.sched_setaffinity(0, [{min(os.sched_getaffinity(0))}])"
    script = f"{one}; from pipeline import serve; serve.command()"
    command = [sys.executable, "-c", script, "--model", str(versions), "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if name != "TF_NUM_INTEROP_THREADS"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        predict = address_of(process) + "/v1/models/lm:predict"
        threading.Thread(target=process.stderr.read, daemon=True).start()
        inputs = {"prompt": "w1", "max_words": 10_000, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 1}
        long = [
            {"signature_name": "score", "inputs": ["w1 " * 300_000]},  # 15 seconds
            {"signature_name": "generate", "instances": [inputs] * 2},
        ]
        with concurrent.futures.ThreadPoolExecutor(2) as pool, httpx.Client(timeout=60) as client:
            asked = [pool.submit(httpx.post, predict, content=json.dumps(body), timeout=60) for body in long]
            time.sleep(1)
            seconds = []
            for _ in range(3):
                for signature, key, value in [
                    ("generate", "instances", inputs | {"max_words": 5}),
                    ("serving_default", "instances", "w1"),
                    ("score", "inputs", "w1"),
                ]:
                    start = time.monotonic()
                    body = json.dumps({"signature_name": signature, key: [value]})
                    assert client.post(predict, content=body).status_code == 200
                    seconds.append(time.monotonic() - start)
            assert not all(future.done() for future in asked)
            process.kill()
        assert max(seconds) < 2
    finally:
        process.kill()


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 0), (signal.SIGINT, INTERRUPTED)])
@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.5])
def test_a_signal_while_loading_stops_the_server_at_once(versions, number, exit_code, seconds):
    command = [sys.executable, "-m", "pipeline.serve", "--model", str(versions), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        next(line for line in iter(process.stderr.readline, "") if "Loading" in line)
        time.sleep(seconds)
        process.send_signal(number)
        assert process.wait(20) == exit_code
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
