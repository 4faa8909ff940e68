"""Requests next words, a score and a continuation from a running server, with only Python's standard library.

    python -m pipeline.serve                                       # in one terminal
    python examples/call_server.py "the value of" [ADDRESS]        # in another

ADDRESS is where the server listens (default: http://127.0.0.1:8501). TensorFlow Serving answers the same requests.
"""

import json
import sys
import urllib.request

ADDRESS = "http://127.0.0.1:8501"


def predict(address: str, **request) -> dict:
    """Sends one request to the server.

    Args:
        address: The server, such as "http://127.0.0.1:8501".
        **request: The body, in TensorFlow Serving's format: `instances` (a list of rows) or `inputs` (columns), and
            `signature_name` for any signature but the default one.

    Returns:
        The answer: `predictions` for `instances`, `outputs` for `inputs`.

    Raises:
        urllib.error.HTTPError: If the server rejects the request; the answer's body has the reason.
        urllib.error.URLError: If there is no server at the address.
    """
    body = json.dumps(request).encode()
    with urllib.request.urlopen(f"{address}/v1/models/lm:predict", data=body, timeout=60) as answer:
        return json.load(answer)


def main() -> None:
    """Sends the three requests for the text of the command line, and prints the answers."""
    if not 2 <= len(sys.argv) <= 3:
        sys.exit('usage: python examples/call_server.py "some text" [ADDRESS]')
    text, address = sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else ADDRESS

    (best,) = predict(address, instances=[text])["predictions"]
    print(f"Words that may follow {text!r}:")
    for word, probability in zip(best["words"][:5], best["probabilities"], strict=False):
        print(f"  {word:12} {probability:.4f}")

    score = predict(address, signature_name="score", inputs=[text])["outputs"]
    print(f"Perplexity of the text: {score['perplexity'][0]:.2f} over {score['num_tokens'][0]} tokens")

    prompt = {"prompt": text, "max_words": 12, "temperature": 0.8, "top_k": 40, "top_p": 0.95, "seed": 1}
    (continuation,) = predict(address, signature_name="generate", instances=[prompt])["predictions"]
    print(f"A continuation: {continuation!r}")


if __name__ == "__main__":
    main()
