"""The files that components pass to each other, each written and read by one module.

Components, reports, tracking and exporting import these modules. They import `components.base`, `models.files`,
`models.serving.saved_model` and `models.text.vocabulary_files`; only `examples` needs TensorFlow. Three files have
their home in `models`, which needs them without a pipeline: `tokenizer.json` in `text.vocabulary_files`, token ids with
their index in `text.token_stream`, and the SavedModel in `serving`.
"""
