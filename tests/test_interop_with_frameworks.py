"""The layer in Lightning and skorch. Skipped if they are not installed."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import fastgru
from layer_pairs import sgd
from tolerance import assert_agrees

# Theirs, about this machine and their own dependencies.
pytestmark = pytest.mark.filterwarnings("ignore")


def imported(name):
    """The module of this name; its import may warn, of things that are no business of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


class Forecaster(nn.Module):
    """Predicts a number from a sequence, with a layer of a given kind."""

    def __init__(self, kind=fastgru.GRU, hidden_size=8, num_layers=1, dropout=0.0):
        super().__init__()
        self.gru = kind(3, hidden_size, num_layers, batch_first=True, dropout=dropout)
        self.head = nn.Linear(hidden_size, 1)

    def forward(self, x):
        return self.head(self.gru(x)[0][:, -1])


def data(rows=32):
    numbers = torch.Generator().manual_seed(1)
    x = torch.randn(rows, 6, 3, generator=numbers, dtype=torch.float64)
    return x, 1 + x.mean((1, 2)).sin()[:, None]


def forecaster(kind, **options):
    torch.manual_seed(0)
    return Forecaster(kind, **options).double()


def weights(module):
    return {name: p.detach().clone() for name, p in module.named_parameters()}


# -- Lightning -----------------------------------------------------------------------------------


def lightning_module(model):
    lightning = imported("lightning")

    class Forecasting(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = model

        def training_step(self, batch, _):
            loss = nn.functional.mse_loss(self.model(batch[0]), batch[1])
            self.log("loss", loss)
            return loss

        validation_step = training_step

        def predict_step(self, batch):
            return self.model(batch[0])

        def configure_optimizers(self):
            return sgd(self.parameters())

    return Forecasting()


def trainer(folder, **options):
    lightning = imported("lightning")
    return lightning.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        devices=1,
        max_epochs=2,
        logger=False,
        enable_progress_bar=False,
        **options,
    )


TRAINERS = {
    "plain": {},
    "clipped and accumulated": {"gradient_clip_val": 0.1, "accumulate_grad_batches": 2},
    "anomalies looked for": {"detect_anomaly": True, "deterministic": True},
}


@pytest.mark.parametrize("options", TRAINERS)
def test_lightning_trains_as_with_torchs_layer(tmp_path, monkeypatch, options):
    imported("lightning")
    # Torch's own test tools, which other tests import, forbid what Lightning's trainer sets.
    monkeypatch.setitem(torch.backends.flags_frozen.__globals__, "__allow_nonbracketed_mutation_flag", True)
    loader = DataLoader(TensorDataset(*data()), batch_size=8)
    found = []
    for kind in (fastgru.GRU, nn.GRU):
        module = lightning_module(forecaster(kind, num_layers=2, dropout=0.25))
        training = trainer(tmp_path / kind.__module__, **TRAINERS[options])
        before = weights(module)
        torch.manual_seed(2)  # of the dropout
        training.fit(module, loader, loader)
        assert not any(torch.equal(p, before[name]) for name, p in weights(module).items())
        found.append(weights(module) | {"loss": training.callback_metrics["loss"]})
    assert_agrees(*found)


def test_lightning_saves_what_torchs_layer_loads(tmp_path):
    imported("lightning")
    loader = DataLoader(TensorDataset(*data()), batch_size=8)
    training, ours = trainer(tmp_path), lightning_module(forecaster(fastgru.GRU))
    training.fit(ours, loader)
    saved = torch.load(training.checkpoint_callback.best_model_path, weights_only=True)
    stock = lightning_module(Forecaster(nn.GRU).double())
    stock.load_state_dict(saved["state_dict"])
    predicted = [torch.cat(trainer(tmp_path).predict(module, loader)) for module in (ours, stock)]
    assert_agrees({"predicted": predicted[0]}, {"predicted": predicted[1]})


# -- skorch --------------------------------------------------------------------------------------


def net(kind, **options):
    skorch = imported("skorch")
    torch.manual_seed(0)
    return skorch.NeuralNetRegressor(
        Forecaster,
        module__kind=kind,
        module__num_layers=2,
        max_epochs=3,
        batch_size=8,
        lr=0.1,
        train_split=None,
        verbose=0,
        **options,
    )


def as_float(tensors):
    return [t.float().numpy() for t in tensors]


def test_skorch_fits_as_with_torchs_layer():
    imported("skorch")
    x, y = as_float(data())
    found = []
    for kind in (fastgru.GRU, nn.GRU):
        fitted = net(kind, callbacks__print_log=None).fit(x, y)
        losses = torch.tensor(fitted.history[:, "train_loss"], dtype=torch.float32)
        assert losses[-1] < losses[0]
        found.append(weights(fitted.module_) | {"losses": losses, "predicted": torch.from_numpy(fitted.predict(x))})
    assert_agrees(*found)


def test_skorch_copies_searches_and_goes_on(tmp_path):
    imported("skorch")
    base = imported("sklearn.base")
    search = imported("sklearn.model_selection").GridSearchCV
    x, y = as_float(data())
    found = search(net(fastgru.GRU), {"module__hidden_size": [4, 8]}, cv=2, error_score="raise").fit(x, y)
    best = found.best_estimator_
    assert type(best.module_.gru) is fastgru.GRU
    for twin in (pickle.loads(pickle.dumps(best)), copy.deepcopy(best)):
        assert (twin.predict(x) == best.predict(x)).all()
    best.save_params(f_params=tmp_path / "weights.pt", f_optimizer=tmp_path / "optimizer.pt")
    again = base.clone(best).initialize()
    assert not (again.predict(x) == best.predict(x)).all()
    again.load_params(f_params=tmp_path / "weights.pt", f_optimizer=tmp_path / "optimizer.pt")
    assert (again.predict(x) == best.predict(x)).all()
    again.partial_fit(x, y)
    assert not (again.predict(x) == best.predict(x)).all()
