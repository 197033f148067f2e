"""Convolutions before the GRU of `classify`: they bring series of hundreds of steps to some tens."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import fastgru
from fastgru_recipes.recurrent_layers import valid_steps

KERNELS = (9, 5, 3)  # steps that each convolution reads
LEFT = 48  # about how many steps of the longest series the GRU reads


def strides(total: int) -> list[int]:
    """The strides of the convolutions, whose product is the power of two `total`: 32 is 4 * 4 * 2."""
    halvings = total.bit_length() - 1
    each, more = divmod(halvings, len(KERNELS))
    return [2 ** (each + (place < more)) for place in range(len(KERNELS))]


def fitting_stride(longest: int) -> int:
    """The power of two that leaves about `LEFT` steps of a series of `longest` steps.

    Example:
        >>> from fastgru_recipes.classify.front import fitting_stride
        >>> fitting_stride(24), fitting_stride(150), fitting_stride(2000)
        (1, 4, 32)
    """
    return 1 << max(0, round(math.log2(max(1.0, longest / LEFT))))


class Convolution(nn.Module):
    """A convolution over time, batch normalization and a rectifier, for series of different lengths.

    Padding counts neither in the moments of a batch nor in the next convolution. The convolution is a linear layer of
    each window, so that its results do not depend on the other series of a batch.

    Args:
        inputs: features of each step, I.
        outputs: filters, C.
        kernel: steps that a filter reads, at least.
        stride: steps from one output to the next.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = max(kernel, 2 * stride + 1), stride  # odd, and no step is skipped
        self.linear = fastgru.Linear(self.kernel * inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs)

    def _windows(self, steps: Tensor) -> Tensor:
        """The steps (B, U, kernel * I) around each stride-th step of (B, T, I)."""
        around = self.kernel // 2
        padded = F.pad(steps, (0, 0, around, around))
        last = (steps.shape[1] - 1) // self.stride * self.stride
        return torch.cat([padded[:, at : at + last + 1 : self.stride] for at in range(self.kernel)], -1)

    def forward(self, steps: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Filtered steps (B, U, C) and their lengths (B,), of steps (B, T, I) that are zero past the lengths."""
        filtered = self.linear(self._windows(steps))
        lengths = (lengths - 1).div(self.stride, rounding_mode="floor") + 1
        valid = valid_steps(filtered.shape[1], lengths)
        if self.training and int(lengths.sum()) > 1:  # one step has no deviation
            normal = torch.zeros_like(filtered)
            normal[valid] = self.norm(filtered[valid])
        else:
            norm = self.norm
            flat = F.batch_norm(filtered.flatten(0, 1), norm.running_mean, norm.running_var, norm.weight, norm.bias)
            normal = flat.view_as(filtered)
        return F.relu(normal) * valid[..., None], lengths


class Front(nn.Module):
    """Three convolutions, as in fully convolutional networks for series (Wang, Yan and Oates 2017), but strided.

    Args:
        inputs: features of each step, I.
        filters: channels of each convolution, C.
        stride: how many steps become one, a power of two.
    """

    def __init__(self, inputs: int, filters: int, stride: int) -> None:
        super().__init__()
        widths = [inputs, *[filters] * len(KERNELS)]
        self.convolutions = nn.ModuleList(
            Convolution(*shape) for shape in zip(widths[:-1], widths[1:], KERNELS, strides(stride), strict=True)
        )

    def forward(self, steps: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Steps (B, U, C) and lengths (B,), of steps (B, T, I) and lengths (B,)."""
        for convolution in self.convolutions:
            steps, lengths = convolution(steps, lengths)
        return steps, lengths
