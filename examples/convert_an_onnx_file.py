"""Convert an ONNX model with a GRU inside, and run it frame by frame, passing its state from call to call.

    python examples/convert_an_onnx_file.py

ONNX Runtime keeps no state between calls, and a file without states as inputs has no memory between frames. The same
file, converted, continues where the last call ended.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import fastgru
from fastgru import runtime


class Denoiser(nn.Module):
    """Spectra (batch, steps, 65) to gains of the same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Linear(65, 64)
        self.gru = fastgru.GRU(64, 64, num_layers=2, batch_first=True)
        self.back = nn.Linear(64, 65)

    def forward(self, spectra: Tensor) -> Tensor:
        """The gains."""
        return self.back(self.gru(self.front(spectra).relu())[0]).sigmoid()


def main() -> None:
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        onnx_file, file = Path(folder) / "denoiser.onnx", Path(folder) / "denoiser.safetensors"
        free = ({0: "batch", 1: "steps"},)
        fastgru.onnx.export(Denoiser(), onnx_file, args=torch.zeros(2, 3, 65), dynamic_shapes=free)
        graph = fastgru.convert(onnx_file, file)  # or: fastgru convert denoiser.onnx denoiser.safetensors
        print("nodes:", ", ".join(node.operator for node in graph.nodes))
        model = runtime.load(file)
    spectra = np.random.default_rng(0).standard_normal((1, 100, 65)).astype(np.float32)
    whole, _ = model.run(spectra)
    state, frames = None, []
    for t in range(100):
        gains, state = model.step(spectra[:, t], state)
        frames.append(gains)
    print("frame by frame equals the whole, to the bit:", np.array_equal(np.stack(frames, 1), whole))
    kept = state.to_bytes()  # a stream that stops here goes on elsewhere
    print(f"state: {state}, {len(kept)} bytes")


if __name__ == "__main__":
    main()
