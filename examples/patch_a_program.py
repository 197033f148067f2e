"""`patch` for code that builds `torch.nn.GRU` itself and cannot be edited."""

from __future__ import annotations

import torch

import fastgru


def somebody_elses_code() -> torch.nn.Module:
    """Builds a model and initializes its recurrent layers."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GRU(8, 16))
    for module in model.modules():
        if isinstance(module, torch.nn.GRU):
            torch.nn.init.orthogonal_(module.weight_hh_l0)
    return model


def main() -> None:
    """Builds the model without and with the patch, and compares the results."""
    torch.manual_seed(0)
    stock = somebody_elses_code()
    torch.manual_seed(0)
    with fastgru.patch():
        ours = somebody_elses_code()

    print("without patch:", stock[1])
    print("with patch:   ", ours[1], "from", type(ours[1]).__module__)
    x = torch.randn(10, 3, 4)
    print(f"largest difference {(stock(x)[0] - ours(x)[0]).abs().max():.1e}")


if __name__ == "__main__":
    main()
