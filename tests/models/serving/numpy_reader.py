"""Reads `model.safetensors` as its card describes, with plain NumPy."""

import numpy as np

from tests.models.reference import log_softmax, sigmoid


def read_with_numpy(weights, ids):
    """Log-probability of each token, from the card's description alone, in float64."""
    weights = {name: value.astype(np.float64) for name, value in weights.items()}
    layers = sum(name.endswith("recurrent_kernel") for name in weights)
    units = weights["lstm.0.recurrent_kernel"].shape[0]
    h, c, found, previous = np.zeros((layers, units)), np.zeros((layers, units)), [], 1
    for token in ids:
        x = weights["embedding.weight"][previous]
        for layer in range(layers):
            kernel, recurrent, bias = (weights[f"lstm.{layer}.{n}"] for n in ("kernel", "recurrent_kernel", "bias"))
            i, f, g, o = np.split(x @ kernel + h[layer] @ recurrent + bias, 4)
            c[layer] = sigmoid(f) * c[layer] + sigmoid(i) * np.tanh(g)
            x = h[layer] = sigmoid(o) * np.tanh(c[layer])
        x = x @ weights["projection.kernel"] if "projection.kernel" in weights else x
        logits = weights.get("output.weight", weights["embedding.weight"]) @ x + weights.get("output.bias", 0.0)
        found.append(log_softmax(logits)[token])
        previous = token
    return np.array(found)
