"""Sequences of different lengths, and resets inside them."""

from __future__ import annotations

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence

from compatibility.models import agree, layer_and_input, trained
from compatibility.registry import Library, capability

HEADING = "Lengths and resets"


@capability("`lengths=` in any order, without packing, two layers and directions")
def lengths_in_any_order(library: Library) -> None:
    layer, x = layer_and_input(library, num_layers=2, bidirectional=True)
    own = [2, 5, 3]
    output, h_n = layer(x, lengths=own)
    for row, steps in enumerate(own):
        want, last = layer(x[:steps, row])
        agree((output[:steps, row], h_n[:, row]), (want, last))
        assert not output[steps:, row].any()


@capability("`lengths=` of zero")
def lengths_of_zero(library: Library) -> None:
    layer, x = layer_and_input(library, bidirectional=True)
    state = torch.randn(2, 3, 4, dtype=torch.float64)
    output, h_n = layer(x, state, lengths=[5, 0, 0])
    agree(h_n[:, 1:], state[:, 1:])
    assert not output[:, 1:].any()


@capability("`lengths=` as int32, as int64 and as a list")
def lengths_of_any_kind(library: Library) -> None:
    layer, x = layer_and_input(library)
    want = layer(x, lengths=[2, 5, 3])
    for dtype in (torch.int32, torch.int64):
        agree(layer(x, lengths=torch.tensor([2, 5, 3], dtype=dtype)), want)


@capability("the output at each sequence's last step (`last_output`)")
def picks_last_outputs(library: Library) -> None:
    layer, x = layer_and_input(library)
    output, h_n = layer(x, lengths=(own := [2, 5, 0]))
    agree(library.find("last_output")(output, own), h_n[-1])


@capability("NaN in the padding reaches no result and no gradient (with `lengths=`)")
def padding_never_matters(library: Library) -> None:
    layer, x = layer_and_input(library, bidirectional=True)
    dirty = x.clone()
    dirty[2:, 0] = float("nan")
    own = [2, 5, 5]
    agree(trained(layer, layer, dirty, lengths=own), trained(layer, layer, x, lengths=own))


@capability("`PackedSequence`, sorted or not")
def packed(library: Library) -> None:
    layer, x = layer_and_input(library, bidirectional=True)
    own = [2, 5, 3]
    output, h_n = layer(pack_padded_sequence(x, torch.tensor(own), enforce_sorted=False))
    padded, _ = pad_packed_sequence(output)
    for row, steps in enumerate(own):
        agree((padded[:steps, row], h_n[:, row]), layer(x[:steps, row]))
    agree(layer(pack_sequence([x[:, 0], x[:2, 1]]))[1][:, 0], layer(x[:, 0])[1])


@capability("`PackedSequence` with an empty sequence (ours: `lengths=` instead)")
def packed_with_an_empty_sequence(library: Library) -> None:
    layer, x = layer_and_input(library)
    layer(pack_padded_sequence(x, torch.tensor([5, 2, 0])))


@capability("nested tensors of jagged layout, in and out")
def nested(library: Library) -> None:
    layer = library.GRU(2, 4, batch_first=True)
    rows = [torch.randn(steps, 2) for steps in (3, 1, 5)]
    output, h_n = layer(torch.nested.nested_tensor(rows, layout=torch.jagged))
    assert output.is_nested
    for row, (got, x) in enumerate(zip(output.unbind(), rows, strict=True)):
        agree((got, h_n[:, row]), layer(x))


@capability("`reset=`: resets inside a sequence, in results and gradients, both directions")
def resets(library: Library) -> None:
    layer, x = layer_and_input(library, num_layers=1, bidirectional=True)
    marks = torch.zeros(5, 3, dtype=torch.bool)
    marks[2] = True

    def in_pieces(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([layer(x[:2])[0], layer(x[2:])[0]])

    agree(trained(layer, lambda: layer(x, reset=marks)[0]), trained(layer, lambda: in_pieces(x)))


@capability("`reset=` together with `lengths=`")
def resets_and_lengths(library: Library) -> None:
    layer, x = layer_and_input(library)
    marks = torch.zeros(5, 3, dtype=torch.bool)
    marks[2] = True
    output, h_n = layer(x, lengths=[4, 1, 5], reset=marks)
    agree((output[2:4, 0], h_n[:, 0]), layer(x[2:4, 0]))
    agree((output[:1, 1], h_n[:, 1]), layer(x[:1, 1]))


@capability("a policy acting step by step with `reset=` has the outputs of one call for the whole sequence")
def policy_loop(library: Library) -> None:
    layer, x = layer_and_input(library)
    done, state, acted = torch.rand(5, 3) < 0.4, None, []
    for step in range(5):
        output, state = layer(x[step : step + 1], state, reset=done[step : step + 1])
        acted.append(output)
    agree((torch.cat(acted), state), layer(x, reset=done))


@capability("a layer that carries its state from call to call (`StatefulGRU`)")
def carries_its_state(library: Library) -> None:
    layer, x = library.find("StatefulGRU")(2, 4), torch.randn(6, 3, 2)
    plain = library.GRU(2, 4)
    plain.load_state_dict(layer.state_dict())
    agree(torch.cat([layer(part)[0] for part in x.split(2)]), plain(x)[0])
