"""Packaging: `pip install -c constraints.txt -e '.[test]'` installs the set of versions that CI ran with."""

from setuptools import find_packages, setup

setup(
    name="tied-language-model",
    version="0.1.0",
    description="A TensorFlow pipeline that trains, judges and ships language models with tied word vectors.",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["pipeline*", "components*", "models*"]),
    # Dataset folders carry checksums, citations and test data; the report and the server carry templates and pages.
    package_data={"": ["*.tsv", "*.txt", "*.bib", "*.md", "*.sql", "templates/*", "page/*", "dummy_data/*"]},
    install_requires=[
        "tensorflow>=2.21,<2.22",
        "tensorflow-text>=2.21,<2.22",
        "tensorflow-datasets>=4.9.10",
        "keras-tuner[bayesian]>=1.4.8",
        "apache-beam>=2.77",
        "pydantic>=2",
        "PyYAML>=6",
        "rich>=13",
        "tensorboard",  # imported by keras-tuner and by Keras's callback, a dependency of neither
        "matplotlib",
        "Jinja2>=3",
        "safetensors",
        "threadpoolctl",  # keeps the bayesian oracle's small products on one thread
        "importlib_resources",  # imported by tensorflow-datasets, undeclared there
    ],
    extras_require={
        # dill: imported by tensorflow-datasets' own test case, undeclared there
        "test": ["pytest>=8", "ruff", "dill", "httpx", "selenium>=4"],
        "bench": ["torch"],
        "litert": ["ai-edge-litert>=2.1"],
        "dask": ["dask", "distributed"],
        "serve": ["starlette", "uvicorn", "httptools", "uvloop", "orjson", "prometheus-client"],
    },
)
