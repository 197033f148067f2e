"""Whole Keras models of all layers that are converted, for the check against Keras."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import layers

STEPS, BATCH = 6, 3


def tagger() -> keras.Model:
    """Labels for each step of words."""
    return keras.Sequential(
        [
            keras.Input((None,), name="words"),
            layers.Embedding(20, 6),
            layers.SpatialDropout1D(0.1),
            layers.Bidirectional(layers.GRU(4, return_sequences=True)),
            layers.TimeDistributed(layers.Dense(5, activation="relu")),
            layers.LayerNormalization(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def classifier() -> keras.Model:
    """One answer for each sequence; reset gates before the product, and names given by the user."""
    return keras.Sequential(
        [
            keras.Input((None, 4), name="x"),
            layers.GRU(5, return_sequences=True, reset_after=False, name="first"),
            layers.Dropout(0.2),
            layers.Bidirectional(layers.GRU(3, reset_after=False, use_bias=False), name="second"),
            layers.LayerNormalization(center=False, epsilon=0.01),
            layers.Dense(2, use_bias=False),
            layers.Activation("sigmoid"),
        ]
    )


def branches() -> keras.Model:
    """Two inputs, layers that are called twice, states as values, several outputs."""
    a, b = keras.Input((None, 4), name="a"), keras.Input((None, 3), name="b")
    shared = layers.Dense(3, name="shared")
    x = layers.Add()([shared(a), b, b])
    y = layers.Multiply()([x, layers.Subtract()([b, x])])
    joined = layers.Concatenate()([y, b, shared(a)])
    sequence, state = layers.GRU(5, return_sequences=True, return_state=True)(joined)
    encoded, ahead, back = layers.Bidirectional(layers.GRU(2, return_sequences=True, return_state=True))(sequence)
    last = layers.Concatenate(name="last")([state, ahead, back])
    steps = layers.Dense(2, activation="tanh", name="steps")(encoded)
    return keras.Model([a, b], [steps, last, layers.GRU(3, name="end")(encoded)])


def merges() -> keras.Model:
    """All ways to merge two directions, of sequences and of states; operations on tensors; outputs by name."""
    x = keras.Input((None, 4), name="x")
    outputs = {}
    for mode in ("concat", "sum", "mul", "ave"):
        for sequences in (True, False):
            layer = layers.Bidirectional(layers.GRU(3, return_sequences=sequences), merge_mode=mode)
            outputs[f"{mode}_{sequences}"] = layer(x)
    doubled = outputs["sum_True"] + outputs["ave_True"]
    outputs["operations"] = doubled * outputs["mul_True"] - outputs["sum_True"]
    return keras.Model(x, outputs)


def functions() -> keras.Model:
    """All activations."""
    x = keras.Input((None, 4), name="x")
    names = ["elu", "exponential", "gelu", "hard_sigmoid", "hard_silu", "leaky_relu", "linear", "log_softmax", "relu6"]
    names += ["relu", "selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "tanh"]
    outputs = {name: layers.Activation(name)(x) for name in names}
    outputs["of_dense"] = layers.Dense(3, activation="gelu")(x)
    outputs |= {"relu_layer": layers.ReLU()(x), "leaky_layer": layers.LeakyReLU(negative_slope=0.3)(x)}
    outputs |= {"elu_layer": layers.ELU(alpha=0.7)(x), "softmax_layer": layers.Softmax()(x)}
    outputs["distributed"] = layers.TimeDistributed(layers.LayerNormalization(scale=False))(x)
    return keras.Model(x, outputs)


def steps() -> keras.Model:
    """Without time: vectors and an index for each sequence."""
    word, x = keras.Input((), dtype="int32", name="word"), keras.Input((4,), name="x")
    return keras.Model([word, x], layers.Dense(3, name="y")(layers.Concatenate()([layers.Embedding(7, 2)(word), x])))


MODELS: dict[str, Callable[[], keras.Model]] = {
    model.__name__: model for model in (tagger, classifier, branches, merges, functions, steps)
}


def with_random_weights(model: keras.Model, seed: int) -> keras.Model:
    """The model with weights that are not zeros or ones."""
    random = np.random.default_rng(seed)
    model.set_weights([random.uniform(-0.8, 0.8, array.shape).astype(np.float32) for array in model.get_weights()])
    return model


def random_inputs(model: keras.Model, seed: int) -> dict[str, np.ndarray]:
    """Inputs by name, as the model takes them."""
    random = np.random.default_rng(seed)
    indices = {layer.input.name for layer in model.layers if isinstance(layer, layers.Embedding)}
    inputs = {}
    for tensor in model.inputs:
        shape = [BATCH, *(STEPS if size is None else size for size in tensor.shape[1:])]
        is_index = tensor.name in indices
        inputs[tensor.name] = random.integers(7, size=shape) if is_index else random.standard_normal(shape)
    return {name: array.astype(np.int32 if array.dtype.kind == "i" else np.float32) for name, array in inputs.items()}
