#!/usr/bin/env bash
# Trains a language model on a folder of texts (*.txt, *.txt.gz) and pushes it.
#
#     examples/train_on_your_text.sh FOLDER [KEY=VALUE ...]
#
# FOLDER holds train.txt, valid.txt and test.txt, or any other files, from which lines or documents are held out.
# Each KEY=VALUE is a configuration key (docs/configuration.md), such as trainer.epochs=5. Run it from the repository's
# root with the environment active: . .venv/bin/activate
set -euo pipefail
folder=${1:?"usage: examples/train_on_your_text.sh FOLDER [KEY=VALUE ...]"}
shift
settings=()
for setting in "example_gen.dataset=text_files" "example_gen.data_dir=$folder" "$@"; do
  settings+=(--set "$setting")
done

# First the data alone: this takes seconds and shows how the text was split and tokenized.
python -m pipeline.run --local "${settings[@]}" --until Transform

# Then everything. The data components are cached, so only the training and what follows it run.
python -m pipeline.run --local "${settings[@]}"
