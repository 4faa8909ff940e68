"""Which precision `auto` is."""

import pytest
import tensorflow as tf

from models.training import devices


@pytest.fixture
def processor(monkeypatch, tmp_path):
    """Sets the flags that the processor has."""
    monkeypatch.setattr(devices, "CPU_INFORMATION", tmp_path / "cpuinfo")

    def has(flags):
        (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: fpu {flags}\nbugs\t\t: spectre_v1\n" * 2)

    return has


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16"])
def test_auto_is_bfloat16_where_the_processor_multiplies_it(processor, flag):
    processor(f"avx2 avx512f {flag}")
    assert devices.choose_precision("auto") == "bfloat16"


def test_auto_is_float32_on_other_processors(processor):
    processor("avx2 avx512f avx512_vnni")
    assert devices.choose_precision("auto") == "float32"


def test_auto_is_float32_where_the_processor_is_not_described(monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "CPU_INFORMATION", tmp_path / "missing")
    assert devices.choose_precision("auto") == "float32"


def test_auto_is_float32_on_gpus(processor, monkeypatch):
    processor("avx512_bf16")
    gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [gpu] if kind == "GPU" else [])
    assert devices.choose_precision("auto") == "float32"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_configured_precision_is_used(processor, precision):
    processor("avx512_bf16")
    assert devices.choose_precision(precision) == precision
