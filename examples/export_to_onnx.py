"""Export of a model to ONNX, run by ONNX Runtime with other sizes than the example."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnxruntime
import torch

import fastgru


class Tagger(torch.nn.Module):
    """Labels every step of sequences of words with different lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(1000, 64)
        self.gru = fastgru.GRU(64, 64, num_layers=2, dropout=0.2, bidirectional=True, batch_first=True)
        self.labels = torch.nn.Linear(128, 10)

    def forward(self, words: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Scores (B, T, 10) for words (B, T) and lengths (B,)."""
        output, _ = self.gru(self.words(words), lengths=lengths)
        return self.labels(output)


@torch.no_grad()
def main() -> None:
    """Exports the model with an example of two sequences, and compares results on other batches."""
    torch.manual_seed(0)
    model = Tagger().eval()
    example = torch.randint(1000, (2, 7)), torch.tensor([7, 3])
    free = {"words": {0: "batch", 1: "steps"}, "lengths": {0: torch.export.Dim.AUTO}}
    with tempfile.TemporaryDirectory() as folder:
        path = fastgru.onnx.export(model, Path(folder) / "tagger.onnx", args=example, dynamic_shapes=free)
        session = onnxruntime.InferenceSession(path)
    for rows, steps in ((1, 1), (5, 40), (16, 100)):
        words, lengths = torch.randint(1000, (rows, steps)), torch.randint(steps + 1, (rows,))
        (scores,) = session.run(None, {"words": words.numpy(), "lengths": lengths.numpy()})
        apart = (torch.from_numpy(scores) - model(words, lengths)).abs().max()
        print(f"{rows:2} sequences of up to {steps:3} words: largest difference {apart:.1e}")
        assert apart < 1e-5


if __name__ == "__main__":
    main()
