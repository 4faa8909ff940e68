# One image to train, to serve, and for the components in Kubeflow Pipelines or Vertex AI:
#   docker build -t tied-lm:1 .
#   docker run --rm -v tied-lm:/work tied-lm:1 tied-lm run --local
# For GPUs add --build-arg PACKAGES='tensorflow[and-cuda]', for MLflow --build-arg EXTRAS=serve,mlflow.
ARG BASE=python:3.12.12-slim-bookworm

FROM ${BASE} AS build
ARG EXTRAS=serve
ARG PACKAGES
ENV PATH=/opt/tied-lm/bin:$PATH
WORKDIR /src
# The packages that the project needs are a layer of their own, which a change of the project's code leaves as it is.
# Left out are 1 GB of headers, other packages' tests and symbols (*.libs would break). What an import compiles is kept,
# since the root may be read-only.
RUN apt-get update -q && apt-get install -y -q --no-install-recommends binutils
COPY pyproject.toml setup.py constraints.txt ./
RUN touch README.md LICENSE && \
    python3 -m venv /opt/tied-lm && \
    pip install --no-cache-dir --no-compile -c constraints.txt ".[${EXTRAS}]" ${PACKAGES} && \
    find /opt/tied-lm/lib -type d \( -name include -o -name tests \) -prune -exec rm -r {} + && \
    find /opt/tied-lm/lib -name '*.so*' -type f -not -path '*.libs/*' -exec strip --strip-unneeded {} + && \
    python -c "import apache_beam, keras_tuner, matplotlib.pyplot, tensorflow_datasets, tensorflow_text, uvicorn"

FROM ${BASE}
RUN useradd --uid 10001 --no-create-home --home-dir /tmp tied-lm && install --directory --owner=tied-lm /work
COPY --from=build /opt/tied-lm /opt/tied-lm
# /work has the configuration and what runs write. All else may be read-only but /tmp, where caches of packages go.
ENV PATH=/opt/tied-lm/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1
COPY . /src
RUN pip install --no-cache-dir --no-deps --force-reinstall /src
WORKDIR /work
USER tied-lm
EXPOSE 8501
# Of a server; a run is healthy as long as it lives.
HEALTHCHECK --interval=30s --timeout=10s --start-period=2m \
    CMD ! grep -qz '^serve$' /proc/1/cmdline || \
        python -c "import urllib.request as request; request.urlopen('http://127.0.0.1:8501/healthz', timeout=9)"
CMD ["tied-lm", "--help"]
