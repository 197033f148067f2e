"""States and layouts: options of the constructor, inputs with zero steps or rows."""

from __future__ import annotations

import torch

from compatibility.models import agree, layer_and_input, trained
from compatibility.registry import Library, capability

HEADING = "States and layouts"


@capability("states with the batch first (`state_batch_first`)")
def states_with_the_batch_first(library: Library) -> None:
    layer = library.GRU(2, 4, 2, batch_first=True, state_batch_first=True)
    plain = library.GRU(2, 4, 2, batch_first=True)
    plain.load_state_dict(layer.state_dict())
    x, state = torch.randn(3, 5, 2), torch.randn(3, 2, 4)
    output, h_n = layer(x, state)
    want, last = plain(x, state.transpose(0, 1))
    agree((output, h_n), (want, last.transpose(0, 1)))


@capability("the outputs of all layers (`return_all_layers`)")
def outputs_of_all_layers(library: Library) -> None:
    layer, plain = library.GRU(2, 4, 3, return_all_layers=True), library.GRU(2, 4, 3)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(5, 3, 2)
    outputs, h_n = layer(x)
    assert len(outputs) == 3
    agree((outputs[-1], h_n), plain(x))
    agree([output[-1] for output in outputs], list(h_n))


@capability("a learned initial state (`learn_h0`)")
def learned_first_state(library: Library) -> None:
    layer, x = library.GRU(2, 4, 2, learn_h0=True), torch.randn(5, 3, 2)
    torch.nn.init.normal_(layer.h_0)
    agree(layer(x), layer(x, layer.h_0.unsqueeze(1).expand(-1, 3, -1).contiguous()))
    layer(x)[0].sum().backward()
    assert layer.h_0.grad.any()


@capability("the reset gate before the product (`reset_after=False`), trained")
def reset_before(library: Library) -> None:
    layer, x, h = library.GRU(2, 4, reset_after=False), torch.randn(5, 3, 2), torch.zeros(3, 4)
    weight_hh, bias_hh = layer.weight_hh_l0, layer.bias_hh_l0
    outputs = []
    for step in x:
        a_r, a_z, a_n = (step @ layer.weight_ih_l0.T + layer.bias_ih_l0).chunk(3, 1)
        c_r, c_z, _ = (h @ weight_hh.T + bias_hh).chunk(3, 1)
        r, z = torch.sigmoid(a_r + c_r), torch.sigmoid(a_z + c_z)
        h = z * h + (1 - z) * torch.tanh(a_n + (r * h) @ weight_hh[8:].T + bias_hh[8:])
        outputs.append(h)
    output, h_n = layer(x)
    agree((output, h_n[0]), (torch.stack(outputs), h))
    found, want = (torch.autograd.grad(t.sin().sum(), list(layer.parameters())) for t in (output, torch.stack(outputs)))
    agree(found, want)


@capability("projections (`proj_size`)")
def projections(library: Library) -> None:
    layer = library.GRU(2, 4, 2, proj_size=3)
    output, h_n = layer(torch.randn(5, 3, 2))
    assert (output.shape, h_n.shape) == ((5, 3, 3), (2, 3, 4))
    agree(output[-1], h_n[-1] @ layer.weight_hr_l1.T)


@capability("`batch_first` output is contiguous")
def contiguous_output(library: Library) -> None:
    layer, x = library.GRU(2, 4, batch_first=True), torch.randn(3, 5, 2)
    for is_training in (True, False):
        with torch.set_grad_enabled(is_training):
            assert layer(x)[0].is_contiguous(), "the output is a transposed view"


@capability("no steps (T = 0)")
def no_steps(library: Library) -> None:
    layer, state = library.GRU(2, 4), torch.randn(1, 3, 4)
    output, h_n = layer(torch.randn(0, 3, 2), state)
    assert output.shape == (0, 3, 4)
    agree(h_n, state)


@capability("no rows (B = 0), trained")
def no_rows(library: Library) -> None:
    layer = library.GRU(2, 4, 2)
    found = trained(layer, layer, torch.randn(5, 0, 2))
    assert found[0].shape == (5, 0, 4)
    assert not any(gradient.any() for gradient in found[2:])


@capability("unbatched input")
def unbatched(library: Library) -> None:
    layer, x = layer_and_input(library, num_layers=2, bidirectional=True)
    output, h_n = layer(x)
    agree(layer(x[:, 1]), (output[:, 1], h_n[:, 1]))
