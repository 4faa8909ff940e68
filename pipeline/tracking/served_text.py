"""The code of a registered model: it takes text and returns next words, scores or a continuation.

MLflow copies this file into the model and runs it where the model is loaded, without this project. It needs only
TensorFlow and TensorFlow Text.
"""

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

DEFAULTS = {"task": "next_words", "max_words": 20, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 0}


class TextModel(PythonModel):
    """A pushed SavedModel, called through its signatures."""

    def load_context(self, context):
        """Loads the SavedModel.

        Args:
            context: MLflow's context, which has the SavedModel's path.
        """
        import tensorflow as tf
        import tensorflow_text  # noqa: F401  (registers the tokenizer's operations)

        self._signatures = tf.saved_model.load(context.artifacts["saved_model"]).signatures

    def predict(self, context, model_input, params=None):
        """Answers with a row for each row of the column `text`.

        Args:
            context: MLflow's context, not used.
            model_input: A table with the column `text`.
            params: `task`, and for `continue` its options. The tasks are next_words (`words` and `probabilities`, ten
                each, best first), score (`log_probability`, `num_tokens`, `perplexity`) and continue (`text`, with the
                options `max_words`, `temperature`, `top_k`, `top_p` and `seed` of the signature `generate`).

        Raises:
            ValueError: If there is no such task.
        """
        del context
        params = DEFAULTS | (params or {})
        texts, task = [str(text) for text in model_input["text"]], params["task"]
        if task == "next_words":
            answer = self._call("serving_default", text=texts)
            words = [[word.decode("utf-8", "replace") for word in row] for row in answer["words"]]
            return pd.DataFrame({"words": words, "probabilities": answer["probabilities"].astype(float).tolist()})
        if task == "score":
            answer = self._call("score", text=texts)
            return pd.DataFrame({name: answer[name] for name in ("log_probability", "num_tokens", "perplexity")})
        if task == "continue":
            repeated = {
                name: [params[name]] * len(texts) for name in ("max_words", "temperature", "top_k", "top_p", "seed")
            }
            answer = self._call("generate", prompt=texts, **repeated)
            return pd.DataFrame({"text": [text.decode("utf-8", "replace") for text in answer["text"]]})
        raise ValueError(f"task: found {task!r}, expected next_words, score or continue.")

    def _call(self, name: str, **inputs):
        import tensorflow as tf

        signature = self._signatures[name]
        specs = signature.structured_input_signature[1]
        tensors = {key: tf.constant(value, specs[key].dtype) for key, value in inputs.items()}
        return {key: value.numpy() for key, value in signature(**tensors).items()}


set_model(TextModel())
