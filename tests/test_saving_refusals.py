"""What cannot be saved is refused, by name and place and with a remedy."""

# ruff: noqa: E501  (the table has a row for each case)

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence as pack
from torch.nn.utils.rnn import pad_packed_sequence as pad

import fastgru
from fastgru import errors
from saved_models import GRU, OURS, Tagger, X, model_of


def changed_by_a_view(x):
    x.transpose(1, 2).add_(1)
    return x


REFUSED = {
    "packed sequences": (model_of(lambda m, x, n: pad(m.gru(pack(x, n, batch_first=True))[0])[0], GRU), [X, torch.tensor([5, 3, 2])], r"gru has a packed sequence.*`self.gru\(x, lengths=lengths\)`"),
    "a packed sequence": (model_of(lambda m, x: m.gru(x)[0], GRU), pack(X, torch.tensor([5, 3, 2]), batch_first=True), "the example has a packed sequence"),
    "the first step": (model_of(lambda m, x: m.gru(x)[0][:, 0], GRU), [X], r"element 0.*`model.step`"),
    "all but the first step": (model_of(lambda m, x: m.gru(x[:, 1:])[0], GRU), [X], "of steps or rows. Cut steps off before the call"),
    "a choice": (model_of(lambda m, x, mask: torch.where(mask, m.gru(x)[0], 0), GRU), [X, torch.ones(3, 5, 1) > 0], "aten.where.*Multiply by a mask of numbers.*`lengths=`.*`reset=`"),
    "a mask": (model_of(lambda m, x, mask: m.gru(x)[0].masked_fill(mask, 0), GRU), [X, torch.ones(3, 5, 1) > 0], "aten.masked_fill.*Multiply by a mask of numbers"),
    "a mask that is multiplied": (model_of(lambda m, x, mask: m.gru(x)[0] * mask, GRU), [X, torch.ones(3, 5, 1) > 0], "aten.mul of integers or booleans. Give it to the model as numbers"),
    "last steps": (model_of(lambda m, x, n: m.gru(x)[0][torch.arange(3), n - 1], GRU), [X, torch.tensor([5, 3, 2])], r"h_n\[-1\]|of integers"),
    "steps turned": (model_of(lambda m, x: m.gru(x.flip(1))[0], GRU), [X], "aten.flip.*bidirectional=True"),
    "a branch on values": (model_of(lambda m, x: m.gru(x)[0] if x.sum() > 0 else x, GRU), [X], "torch.export could not go through the model"),
    "an example that the model cannot take": (model_of(lambda m, x: m.gru(x)[0] @ torch.ones(7, 2), GRU), [X], "torch.export could not go through .* RuntimeError"),
    "convolution": (model_of(lambda m, x: m.conv(x), ("conv", nn.Conv1d(5, 5, 1))), [X], "conv: the operation aten.conv1d"),
    "attention": (model_of(lambda m, x: m.gru(x)[0] @ m.gru(x)[0].transpose(1, 2), GRU), [torch.randn(3, 5, 4)], "matmul"),
    "a mean over steps": (model_of(lambda m, x: m.gru(x)[0].mean(1), GRU), [X], "mean: the operation aten.mean"),
    "a middle step": (model_of(lambda m, x: m.gru(x)[0][:, 2], GRU), [X], "element 2"),
    "every second step": (model_of(lambda m, x: m.gru(x[:, ::2])[0], GRU), [X], "of every second or further element"),
    "rows shifted": (model_of(lambda m, x: m.gru(x)[0] + m.gru(x.transpose(0, 1))[0].transpose(0, 1), GRU), [torch.randn(5, 5, 4)], "is that of"),
    "a state that is read": (model_of(lambda m, x, s: (m.gru(x, s)[0] + s.transpose(0, 1)), GRU), [X, torch.zeros(1, 3, 6)], "the state"),
    "an output of constants": (model_of(lambda m, x: (m.gru(x)[0], torch.zeros(3)), GRU), [X], "does not depend"),
    "features of a state": (model_of(lambda m, x: m.gru(x)[1][:, :, :3][-1], GRU), [X], "select: aten.select of the states"),
    "rows of a state": (model_of(lambda m, x: m.gru(x)[1][:, :1][-1], GRU), [X], "select: aten.select of the states"),
    "only states": (model_of(lambda m, x: m.gru(x)[1], GRU), [X], "no output but states"),
    "all but one step": (model_of(lambda m, x: m.gru(x)[0][:, : x.shape[1] - 1], GRU), [X], "of steps or rows"),
    "a number of steps": (model_of(lambda m, x: m.gru(x)[0] / x.shape[1], GRU), [X], "depends on the sizes"),
    "division that rounds": (model_of(lambda m, x: torch.div(m.gru(x)[0], 2, rounding_mode="floor"), GRU), [X], "rounding_mode"),
    "numbers that become integers": (model_of(lambda m, x: m.gru(x.long().float())[0], GRU), [X], "to torch.int64"),
    "numbers that are rounded": (model_of(lambda m, x: m.gru(x.half().float())[0], GRU), [X], "to torch.float16"),
    "a change of a view": (model_of(lambda m, x: changed_by_a_view(m.gru(x)[0]), GRU), [X], "changes a value of which another view is read later in place"),
    "numbers without features": (model_of(lambda m, x, mask: m.gru(x)[0] * mask.unsqueeze(-1), GRU), [X, torch.ones(3, 5)], "without an axis of features"),
    "lengths that are computed": (model_of(lambda m, x, n: m.gru(x, lengths=n - 1)[0], OURS), [X, torch.tensor([5, 2, 4])], "of integers or booleans"),
    "constant lengths": (model_of(lambda m, x: m.gru(x, lengths=torch.tensor([5, 2, 4]))[0], OURS), [X], "lengths or resets that are computed"),
    "dropout in evaluation": (model_of(lambda m, x: nn.functional.dropout(m.gru(x)[0]), GRU), [X], "dropout in evaluation mode"),
    "steps that become features": (model_of(lambda m, x: m.gru(x)[0].reshape(x.shape[0], -1) + 0, GRU), [X], "a reshape has joined"),
    "rows one after another": (model_of(lambda m, x: m.gru(x.reshape(1, -1, 4))[0].view(x.shape[0], x.shape[1], 6), GRU), [X], "this reshape cuts an axis"),
    "a learned start": (model_of(lambda m, x: m.gru(x, m.h.weight.view(1, 3, 6))[0], GRU, ("h", nn.Linear(3, 6, bias=False))), [X], "different constants"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_runtime_does_not_have_is_refused_by_name_and_place(name, tmp_path):
    model, args, message = REFUSED[name]
    with pytest.raises(errors.ConversionError, match=message):
        fastgru.save(model, tmp_path / "m.safetensors", args=args)
    assert not list(tmp_path.iterdir())
    assert type(getattr(model, "gru", None)) in (nn.GRU, fastgru.GRU, type(None))


def test_a_model_without_an_example_is_told_how_to_give_one(tmp_path):
    with pytest.raises(errors.ArgumentError, match=r"fastgru.save\(model, path, args=\(x,\)\)"):
        fastgru.save(Tagger(), tmp_path / "m.safetensors")
    with pytest.raises(TypeError, match=r"torch\.nn\.Module"):
        fastgru.save({"gru": 1}, tmp_path / "m.safetensors")


def test_weights_that_are_nan_are_not_saved(tmp_path):
    layer = fastgru.GRU(3, 4)
    with torch.no_grad():
        layer.weight_hh_l0[1, 2] = torch.nan
    with pytest.raises(errors.GraphError, match="'weight_hh_l0' has 1 values that are not a number"):
        fastgru.save(layer, tmp_path / "m.safetensors")
