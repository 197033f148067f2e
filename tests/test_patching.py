"""Patching torch's names, and undoing it."""

from __future__ import annotations

import io
import pickle
import sys
import threading

import pytest
import torch
from torch import nn

import fastgru
import processes
from layer_pairs import results
from tolerance import assert_agrees

STOCK_GRU = nn.GRU
STOCK_CELL = nn.GRUCell


def close(got, want) -> None:
    assert_agrees(dict(enumerate(results(got))), dict(enumerate(results(want))))


def python(code: str) -> str:
    """What a fresh interpreter prints; a patch for ever must not reach the other tests."""
    done = processes.run([sys.executable, "-W", "error", "-c", code])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def names() -> list[type]:
    return [
        getattr(namespace, name)
        for namespace in (torch.nn, torch.nn.modules, torch.nn.modules.rnn)
        for name in ("GRU", "GRUCell")
    ]


STOCK_NAMES = [STOCK_GRU, STOCK_CELL] * 3
OUR_NAMES = [fastgru.GRU, fastgru.GRUCell] * 3


def test_patch_changes_the_names_and_puts_them_back():
    assert names() == STOCK_NAMES
    with fastgru.patch():
        assert names() == OUR_NAMES
        layer = torch.nn.GRU(3, 4)
        cell = getattr(torch.nn, "GRU" + "Cell")(3, 4)
        assert isinstance(layer, nn.GRU)
        assert isinstance(cell, nn.GRUCell)
    assert names() == STOCK_NAMES
    assert type(layer) is fastgru.GRU
    assert type(cell) is fastgru.GRUCell


def test_patch_nests_and_its_object_can_be_entered_again():
    patched = fastgru.patch()
    with patched, fastgru.patch():
        with patched:
            assert names() == OUR_NAMES
        assert names() == OUR_NAMES
    assert names() == STOCK_NAMES
    with patched:
        assert names() == OUR_NAMES
    assert names() == STOCK_NAMES


def test_patch_ends_with_an_exception():
    with pytest.raises(ZeroDivisionError), fastgru.patch():
        1 / 0  # noqa: B018 - raising is the point
    assert names() == STOCK_NAMES


def test_patch_as_a_decorator():
    @fastgru.patch()
    def build() -> nn.Module:
        return nn.GRU(3, 4)

    assert type(build()) is fastgru.GRU
    assert names() == STOCK_NAMES


def test_patch_restores_what_was_there_and_not_what_should_have_been(monkeypatch):
    class Other(STOCK_GRU):
        pass

    monkeypatch.setattr(torch.nn, "GRU", Other)
    with fastgru.patch():
        assert torch.nn.GRU is fastgru.GRU
    assert torch.nn.GRU is Other
    assert torch.nn.modules.rnn.GRU is STOCK_GRU


def test_patch_of_overlapping_threads_lasts_until_the_last_leaves():
    entered, leave = threading.Event(), threading.Event()

    def other_thread() -> None:
        with fastgru.patch():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other_thread)
    with fastgru.patch():
        thread.start()
        assert entered.wait(10)
    assert names() == OUR_NAMES
    leave.set()
    thread.join()
    assert names() == STOCK_NAMES


def test_classes_may_be_derived_from_the_patched_name():
    class Mixin:
        scale = 3.0

    with fastgru.patch():

        class Scaled(Mixin, nn.GRU):
            def forward(self, input, hx=None):
                output, h_n = super().forward(input, hx)
                return self.scale * output, h_n

        layer = Scaled(3, 4, batch_first=True)
        assert isinstance(layer, nn.GRU)
        documented = "Before. " + nn.GRU.__doc__ + nn.GRUCell.__doc__

    x = torch.randn(2, 5, 3)
    plain = STOCK_GRU(3, 4, batch_first=True)
    plain.load_state_dict(layer.state_dict())
    close(layer(x)[0], 3.0 * plain(x)[0])
    assert "GRU" in documented


def test_a_pickled_model_of_torchs_layers_loads_as_ours_under_patch():
    model = nn.ModuleDict({"encoder": STOCK_GRU(4, 3), "cell": STOCK_CELL(3, 6)})
    x = torch.randn(7, 2, 4)
    want = model["cell"](model["encoder"](x)[0][-1])
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    with fastgru.patch():
        loaded = torch.load(file, weights_only=False)
    assert type(loaded["encoder"]) is fastgru.GRU
    assert type(loaded["cell"]) is fastgru.GRUCell
    close(loaded["cell"](loaded["encoder"](x)[0][-1]), want)
    assert "_flat_weights" not in vars(loaded["encoder"])


def test_layers_built_under_patch_can_be_pickled_there():
    with fastgru.patch():
        assert type(pickle.loads(pickle.dumps(nn.GRU(3, 4)))) is fastgru.GRU


def test_permanent_patch_lasts():
    printed = python(
        "import fastgru, torch\n"
        "with fastgru.patch(permanent=True): pass\n"
        "with fastgru.patch(): pass\n"
        "from torch.nn import GRU, GRUCell\n"
        "print(GRU is fastgru.GRU, GRUCell is fastgru.GRUCell)"
    )
    assert printed == "True True"


# -- the compiler's switch -----------------------------------------------------------------------

SWITCH = "import sys, torch._dynamo.config as config; print(config.allow_rnn)\n"


def test_patch_does_not_import_the_compiler():
    printed = python(
        "import fastgru, sys, torch\n"
        "fastgru.GRU\n"  # which waits for packages that count its operations
        "finders = list(sys.meta_path)\n"
        "with fastgru.patch(): print('torch._dynamo' in sys.modules)\n"
        "print(sys.meta_path == finders)"
    )
    assert printed.split() == ["False", "True"]


def test_a_compiler_imported_before_is_switched_for_the_while():
    printed = python(f"import fastgru\n{SWITCH}with fastgru.patch(): {SWITCH}{SWITCH}")
    assert printed.split() == ["False", "True", "False"]


def test_a_compiler_imported_meanwhile_is_switched_for_the_while():
    printed = python(f"import fastgru\nwith fastgru.patch():\n  {SWITCH}{SWITCH}")
    assert printed.split() == ["True", "False"]


def test_a_compiler_imported_afterwards_is_left_alone():
    assert python(f"import fastgru\nwith fastgru.patch(): pass\n{SWITCH}") == "False"


def test_a_switch_that_was_on_stays_on():
    printed = python(
        "import fastgru, torch._dynamo.config as config\nconfig.allow_rnn = True\n"
        f"with fastgru.patch(): {SWITCH}{SWITCH}"
    )
    assert printed.split() == ["True", "True"]


def test_a_patched_model_compiles_in_one_graph():
    with fastgru.patch():
        model = nn.Sequential(nn.Linear(3, 3), nn.GRU(3, 4))
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        x = torch.randn(5, 2, 3)
        close(compiled(x), model(x))


class Tagger(nn.Module):
    """A model that dynamic quantization changes."""

    def __init__(self, library):
        super().__init__()
        self.gru, self.cell, self.out = library.GRU(8, 16), library.GRUCell(16, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.out(self.cell(self.gru(x)[1][0]))


def quantized(model):
    return torch.ao.quantization.quantize_dynamic(model, {torch.nn.GRU, torch.nn.GRUCell, nn.Linear})


@pytest.mark.filterwarnings("ignore:torch.ao.quantization:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_dynamic_quantization_finds_our_layers_under_the_patch():
    stock, x = Tagger(torch.nn), torch.randn(5, 3, 8)
    want = quantized(stock)
    with fastgru.patch():
        ours = Tagger(torch.nn)
        ours.load_state_dict(stock.state_dict())
        got = quantized(ours)
        assert type(got.gru) is type(want.gru) is torch.ao.nn.quantized.dynamic.GRU
        assert type(got.cell) is torch.ao.nn.quantized.dynamic.GRUCell
        assert torch.equal(got(x), want(x))
    table = torch.ao.quantization.quantization_mappings.DEFAULT_DYNAMIC_QUANT_MODULE_MAPPINGS
    assert fastgru.GRU not in table
    assert type(quantized(stock).gru) is type(want.gru)


@pytest.mark.filterwarnings("ignore:torch.ao.quantization:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_dynamic_quantization_warns_of_layers_that_it_passes_by():
    with pytest.warns(UserWarning, match=r"fastgru\.patch\(\).*fastgru\.restore_gru\(model\)"):
        model = torch.ao.quantization.quantize_dynamic(Tagger(fastgru), {nn.Linear})
    assert type(model.gru) is fastgru.GRU
    assert not hasattr(fastgru.GRU(2, 3), "qconfig")
