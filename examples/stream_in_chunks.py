"""A signal that arrives in chunks: the state is passed from call to call, and the bits are the same."""

from __future__ import annotations

import torch

from fastgru import GRU


@torch.no_grad()
def main() -> None:
    """Filters a signal in one call, then in chunks of several sizes, and compares the bits."""
    torch.manual_seed(0)
    gru = GRU(16, 64, num_layers=2).eval()
    signal = torch.randn(1000, 16)
    whole, _ = gru(signal)

    for size in (1, 7, 160):
        state, outputs = None, []
        for chunk in signal.split(size):
            output, state = gru(chunk, state)
            outputs.append(output)
        same = torch.equal(torch.cat(outputs), whole)
        print(f"chunks of {size:3}: {'the same bits' if same else 'DIFFERENT'}")
        assert same


if __name__ == "__main__":
    main()
