"""The table of frameworks: one line for each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fastgru.convert.flax_linen import FLAX_LINEN
from fastgru.convert.flax_nnx import FLAX_NNX
from fastgru.convert.keras import KERAS
from fastgru.convert.layout import Framework
from fastgru.convert.merged_biases import EQUINOX, MLX
from fastgru.convert.onednn import ONEDNN
from fastgru.convert.onnx import ONNX
from fastgru.convert.openvino import OPENVINO

FRAMEWORKS: Mapping[str, Framework] = MappingProxyType(
    {
        "keras": KERAS,
        "flax_linen": FLAX_LINEN,
        "flax_nnx": FLAX_NNX,
        "equinox": EQUINOX,
        "mlx": MLX,
        "onnx": ONNX,
        "openvino": OPENVINO,
        "onednn": ONEDNN,
    }
)
