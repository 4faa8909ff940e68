"""The layers and losses of the model, as Keras layers that any model can use, and the fast loops that they run on.

The rest of `models` imports it, except `models.text`; so do `experiments`. It imports only TensorFlow, Keras and NumPy.
"""
