"""Models of Keras 2 as tf2onnx writes them: with GRU nodes, which it no longer finds in those of Keras 3."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import tensorflow as tf
import tf2onnx

layers = tf.keras.layers
STEPS = 8  # of the models whose number of steps is fixed


def _sequential(*parts: Any, shape: tuple[int | None, ...] = (None, 5), dtype: str = "float32") -> Any:
    return tf.keras.Sequential([layers.Input(shape, dtype=dtype), *parts])


def _tagger() -> Any:
    both = layers.Bidirectional(layers.GRU(6, return_sequences=True))
    tags = layers.TimeDistributed(layers.Dense(3, activation="softmax"))
    return _sequential(layers.Embedding(10, 5), both, tags, shape=(None,), dtype="int32")


def _with_states() -> Any:
    x, start = layers.Input((None, 5)), layers.Input((6,))
    output, last = layers.GRU(6, return_sequences=True, return_state=True)(x, initial_state=start)
    return tf.keras.Model([x, start], [output, last])


def _translator() -> Any:
    source, target = layers.Input((None, 5)), layers.Input((None, 4))
    _, state = layers.GRU(6, return_state=True)(source)
    output = layers.GRU(6, return_sequences=True)(target, initial_state=state)
    return tf.keras.Model([source, target], layers.Dense(3)(output))


MODELS: Mapping[str, Callable[[], Any]] = MappingProxyType(
    {
        "tf2onnx_tagger": _tagger,
        "tf2onnx_states": _with_states,
        "tf2onnx_translator": _translator,
        "tf2onnx_classifier": lambda: _sequential(layers.Bidirectional(layers.GRU(6)), layers.Dense(3)),
        "tf2onnx_sum": lambda: _sequential(
            layers.BatchNormalization(), layers.Bidirectional(layers.GRU(6, return_sequences=True), merge_mode="sum")
        ),
        "tf2onnx_forecaster": lambda: _sequential(
            layers.GRU(6, return_sequences=True), layers.Dropout(0.2), layers.GRU(7), layers.Dense(1), shape=(STEPS, 1)
        ),
    }
)


def write(name: str, path: Path, seed: int) -> None:
    """Makes a model with random weights and writes it."""
    tf.keras.utils.set_random_seed(seed)
    model = MODELS[name]()
    random = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(random.uniform(0.1, 0.9, weight.shape) - (0.5 if "variance" not in weight.name else 0))
    spec = [tf.TensorSpec((None, *port.shape[1:]), port.dtype, name=f"in{k}") for k, port in enumerate(model.inputs)]

    def call(*given: Any) -> Any:
        return model(list(given) if len(given) > 1 else given[0], training=False)

    function = tf.function(call, input_signature=spec)
    tf2onnx.convert.from_function(function, input_signature=spec, opset=17, output_path=str(path))
