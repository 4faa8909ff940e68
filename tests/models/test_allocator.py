"""The C library keeps freed memory, in huge pages: large arrays cause no page faults again."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import ctypes
import resource
import numpy as np
from models.allocator import keep_freed_memory
print(keep_freed_memory())
def step():
    for _ in range(3):
        np.ones(7_000_000, np.float32)  # 28 MB: the logits of a window
        np.ones(15_000_000, np.float32)  # 60 MB: weights of 1,500 units
ctypes.CDLL(None).malloc_trim(0)  # as protobuf does
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
[huge] = [line for line in open("/proc/self/smaps_rollup") if line.startswith("AnonHugePages")]
print(huge.split()[1])
"""
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="It is glibc's allocator that is changed.")
def test_large_arrays_cause_no_page_faults_unless_the_environment_sets_the_allocator():
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    found = {}
    for name, more in (("kept", {}), ("the user's own", {"MALLOC_MMAP_THRESHOLD_": "65536"})):
        process = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment | more, capture_output=True, text=True, check=True
        )
        found[name] = process.stdout.split()
    assert found["kept"][0] == "True" and int(found["kept"][1]) < 50
    if HUGE_PAGES.exists() and "[never]" not in HUGE_PAGES.read_text():
        assert int(found["kept"][2]) > 20_000  # kB: most of an array
    assert found["the user's own"][0] == "False" and int(found["the user's own"][1]) > 150
