"""The layers and losses of the model, as Keras layers that any model can use, and the fast loops that they run on.

Imports only TensorFlow, Keras and NumPy; imported by the rest of `models`.
"""
