"""Packages that count, draw, explain, adapt or compress models."""

from __future__ import annotations

import contextlib
import copy
import io
import tempfile
from typing import Any

import torch
from torch import Tensor, nn

from compatibility.models import Model, agree, learns
from compatibility.registry import STOCK, Library, capability, need
from compatibility.tools import counts_as_torchs

HEADING = "With packages that measure, explain or change a model"


def tool(name: str, package: str | None = None) -> Any:
    """A module of a package that no extra installs."""
    return need(name, how=f"install {package or name.split('.')[0]}")


class Last(nn.Module):
    """A model that gives one row of numbers for each sequence, as classifiers do."""

    def __init__(self, library: Library) -> None:
        super().__init__()
        self.inner = Model(library, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)[0][:, -1]


def twins(library: Library, kind: Any = Model) -> tuple[nn.Module, nn.Module]:
    """A model with the layer and one with torch's, of the same weights."""
    model, stock = kind(library), kind(STOCK)
    stock.load_state_dict(model.state_dict())
    return model, stock


@capability("torchinfo: parameters and operations of each layer")
def torchinfo_sums_up(library: Library) -> None:
    torchinfo = tool("torchinfo")

    def count(model: nn.Module) -> float:
        found = torchinfo.summary(model, input_data=torch.randn(5, 4, 3), verbose=0)
        assert found.total_params == sum(p.numel() for p in model.parameters())
        return found.total_mult_adds

    counts_as_torchs(library, count)


@capability("torchsummary: the output of each layer (it does not count the parameters of any GRU)")
def torchsummary_sums_up(library: Library) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as told:
        tool("torchsummary").summary(Last(library), (5, 3), device="cpu")
    assert "[[-1, 5, 11], [-1, 2, 11]]" in told.getvalue()


@capability("Lightning's `ModelSummary`: parameters and operations")
def lightning_sums_up(library: Library) -> None:
    lightning = need("lightning", how="install lightning")
    from lightning.pytorch.utilities.model_summary import ModelSummary

    class Module(lightning.LightningModule):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model, self.example_input_array = model, torch.randn(5, 4, 3)

        def forward(self, x: Tensor) -> Any:
            return self.model(x)

    counts_as_torchs(library, lambda model: ModelSummary(Module(model)).total_flops)


@capability("fvcore: parameters, and the operations of the other layers (it has no formula for any GRU)")
def fvcore_counts(library: Library) -> None:
    fvcore = tool("fvcore.nn")

    def count(model: nn.Module) -> tuple[int, int]:
        analysis = fvcore.FlopCountAnalysis(model, torch.randn(5, 4, 3)).unsupported_ops_warnings(False)
        return fvcore.parameter_count(model)[""], analysis.total()

    assert count(Model(library)) == count(Model(STOCK))


@capability("thop: operations, of a model that names the layer itself")
def thop_counts(library: Library) -> None:
    thop = tool("thop")
    counts_as_torchs(library, lambda model: thop.profile(model, (torch.randn(5, 4, 3),), verbose=False)[0])


@capability("ptflops: operations, by its backends `pytorch` and `aten`, of a model that names the layer itself")
def ptflops_counts(library: Library) -> None:
    ptflops = tool("ptflops")
    options = {"as_strings": False, "print_per_layer_stat": False, "verbose": False}
    for backend in ("pytorch", "aten"):
        counts_as_torchs(
            library,
            lambda model, b=backend: ptflops.get_model_complexity_info(model, (5, 3), backend=b, **options)[0],
            batch_first=True,
        )


@capability("calflops: operations, of a model that names the layer itself")
def calflops_counts(library: Library) -> None:
    calflops = tool("calflops")
    options = {"output_as_string": False, "print_results": False, "print_detailed": False}
    counts_as_torchs(library, lambda model: calflops.calculate_flops(model, (2, 5, 3), **options)[0])


@capability("torchviz: `make_dot`, including the values that nodes save")
def torchviz_draws(library: Library) -> None:
    torchviz, model = tool("torchviz"), Model(library)
    output, _ = model(torch.randn(5, 4, 3))
    drawn = torchviz.make_dot(output, dict(model.named_parameters()), show_attrs=True, show_saved=True)
    assert all(name in drawn.source for name, _ in model.named_parameters())


@capability("torchview")
def torchview_draws(library: Library) -> None:
    drawn = tool("torchview").draw_graph(Model(library), input_data=torch.randn(5, 4, 3))
    assert "GRU" in drawn.visual_graph.source


@capability("torchlens: the result of each operation")
def torchlens_records(library: Library) -> None:
    torchlens, model, x = tool("torchlens"), Model(library), torch.randn(5, 4, 3)
    want = model(x)
    found = torchlens.trace(model, x)
    assert any("gru" in str(operation).lower() for operation in found)
    agree(model(x), want)


@capability("TensorBoard: `add_graph`")
def tensorboard_draws(library: Library) -> None:
    need("tensorboard", how="install tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    with tempfile.TemporaryDirectory() as folder, SummaryWriter(folder) as writer:
        writer.add_graph(Model(library), torch.randn(5, 4, 3))


@capability("captum: gradients, DeepLift, ablation and conductance, of a model and of its layers")
def captum_explains(library: Library) -> None:
    attr = tool("captum.attr")
    x = torch.randn(4, 5, 3)

    def explained(model: nn.Module) -> list[Tensor]:
        torch.manual_seed(1)
        before, gru = model.inner.before, model.inner.gru
        into = {"attribute_to_layer_input": True}
        return [
            attr.IntegratedGradients(model).attribute(x, target=1, n_steps=10),
            attr.Saliency(model).attribute(x.clone().requires_grad_(), target=1),
            attr.GuidedBackprop(model).attribute(x.clone().requires_grad_(), target=1),
            attr.DeepLift(model).attribute(x, target=1),
            attr.Occlusion(model).attribute(x, target=1, sliding_window_shapes=(1, 3)),
            attr.FeatureAblation(model).attribute(x, target=1),
            attr.NeuronConductance(model, before).attribute(x, (0, 0), target=1, n_steps=10),
            attr.LayerIntegratedGradients(model, gru).attribute(x, target=1, n_steps=10, **into),
            *attr.LayerActivation(model, gru).attribute(x),
        ]

    model, stock = twins(library, Last)
    agree([t.float() for t in explained(model)], [t.float() for t in explained(stock)])


@capability("higher: gradients through steps of an optimizer")
def higher_differentiates(library: Library) -> None:
    higher, x = tool("higher"), torch.randn(5, 4, 3)

    def gradients(model: nn.Module) -> list[Tensor]:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with higher.innerloop_ctx(model, optimizer, copy_initial_weights=False) as (inner, steps):
            for _ in range(2):
                steps.step(inner(x)[0].square().mean())
            return list(torch.autograd.grad(inner(x)[0].square().mean(), list(model.parameters())))

    agree(*map(gradients, twins(library)))


@capability("PEFT: LoRA beside the layer (`modules_to_save`) and of its weights (`target_parameters`)")
def peft_adapts(library: Library) -> None:
    peft = tool("peft")
    ways: list[dict[str, Any]] = [
        {"target_modules": ["before", "after"], "modules_to_save": ["gru"]},
        {"target_modules": ["before"], "target_parameters": ["gru.weight_ih_l0", "gru.weight_hh_l0"]},
    ]
    for way in ways:
        losses = []
        for model in twins(library):
            torch.manual_seed(1)
            losses.append(torch.tensor(learns(peft.get_peft_model(model, peft.LoraConfig(r=2, **way)))))
        agree(*losses)


@capability("Accelerate: training, and weights that lie on another device or in files between calls")
def accelerate_runs(library: Library) -> None:
    accelerate, x = tool("accelerate"), torch.randn(5, 4, 3)
    model, stock = twins(library)
    accelerator = accelerate.Accelerator(cpu=True)
    agree(torch.tensor(learns(accelerator.prepare(model))), torch.tensor(learns(stock)))
    want = stock(x)
    agree(accelerate.cpu_offload(copy.deepcopy(model), "cpu")(x), want)
    with tempfile.TemporaryDirectory() as folder:
        agree(accelerate.disk_offload(copy.deepcopy(model), folder, execution_device="cpu")(x), want)


@capability("torch-pruning: a model pruned around the layer")
def pruning_goes_around(library: Library) -> None:
    pruning = tool("torch_pruning", "torch-pruning")
    x = torch.randn(5, 4, 3)

    class Deeper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide, self.model, self.tail = nn.Linear(3, 6), Model(library), nn.Linear(2, 2)
            self.model.before = nn.Linear(6, 8)

        def forward(self, x: Tensor) -> Tensor:
            return self.tail(self.model(self.wide(x).relu())[0])

    deeper = Deeper()
    rest = [deeper.model.before, deeper.model.gru, deeper.tail]
    importance = pruning.importance.MagnitudeImportance()
    pruning.pruner.MagnitudePruner(deeper, x, importance, pruning_ratio=0.5, ignored_layers=rest).step()
    assert deeper.wide.out_features == 3
    assert deeper.model.gru.weight_ih_l0.shape == (33, 8)
    deeper(x).sum().backward()


@capability("Quanto: weights of the layers around in 8 bits")
def quanto_quantizes_around(library: Library) -> None:
    quanto, x = tool("optimum.quanto", "optimum-quanto"), torch.randn(5, 4, 3)
    model, stock = twins(library)
    for one in (model, stock):
        quanto.quantize(one, weights=quanto.qint8)
        quanto.freeze(one)
    agree(model(x), stock(x))


@capability("ema-pytorch and torch-ema: moving averages")
def averages_move(library: Library) -> None:
    ema, other, x = tool("ema_pytorch", "ema-pytorch"), tool("torch_ema", "torch-ema"), torch.randn(5, 4, 3)
    found = []
    for model in twins(library):
        moving = ema.EMA(model, beta=0.5, update_after_step=0, update_every=1)
        averages = other.ExponentialMovingAverage(model.parameters(), 0.5)
        for _ in range(2):
            learns(model)
            moving.update()
            averages.update()
        with averages.average_parameters():
            found.append((moving(x), model(x)))
    agree(*found)


@capability("Ignite")
def ignite_trains(library: Library) -> None:
    engine, x = tool("ignite.engine", "pytorch-ignite"), torch.randn(4, 5, 3)
    losses = []
    for model in twins(library, Last):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        trainer = engine.create_supervised_trainer(model, optimizer, nn.MSELoss())
        losses.append(torch.tensor(trainer.run([(x, torch.ones(4, 2))] * 5, max_epochs=1).output))
    agree(*losses)


@capability("pytorch-optimizer: SAM and Shampoo")
def strange_optimizers_step(library: Library) -> None:
    optimizers, x = tool("pytorch_optimizer", "pytorch-optimizer"), torch.randn(5, 4, 3)
    found = []
    for model in twins(library):
        twice = optimizers.SAM(model.parameters(), base_optimizer=torch.optim.SGD, lr=0.1)
        model(x)[0].square().mean().backward()
        twice.first_step(zero_grad=True)
        model(x)[0].square().mean().backward()
        twice.second_step(zero_grad=True)
        once = optimizers.load_optimizer("shampoo")(model.parameters(), lr=0.01)
        model(x)[0].square().mean().backward()
        once.step()
        found.append(list(model.parameters()))
    agree(*found)
