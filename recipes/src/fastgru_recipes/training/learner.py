"""The Lightning module and the trainer that all recipes share."""

from __future__ import annotations

import logging
import math
import os
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, distributed, nn
from torch.utils.data import DataLoader
from torchmetrics import MaxMetric, MeanMetric

from fastgru_recipes import dropout, interruption
from fastgru_recipes.errors import TrainingDiverged, TrainingInterrupted
from fastgru_recipes.option_names import again
from fastgru_recipes.recipe import Batch, Data, Example, Loss, Recipe, State
from fastgru_recipes.training import checkpoints
from fastgru_recipes.training.batching import ROWS, counts, loader
from fastgru_recipes.training.budget import Budget, budget
from fastgru_recipes.training.mean_loss import MeanLoss
from fastgru_recipes.training.progress import Bar, Deadline, Expectation, Say


class Learner(L.LightningModule):
    """A recipe's network as a LightningModule."""

    def __init__(self, recipe: Recipe[Any], model: nn.Module) -> None:
        super().__init__()
        self.recipe, self.model = recipe, model
        self.training_loss, self.validation_loss = MeanLoss(), MeanLoss()
        self.gradient_norm, self.gradient_norm_largest = MeanMetric(), MaxMetric()

    def on_train_epoch_start(self) -> None:
        # Seeded for each epoch, so that a resumed run draws the same dropout between stacked layers.
        torch.manual_seed((self.recipe.seed * 1_000_003 + self.current_epoch) * 1024 + self.global_rank)

    def _loss(self, batch: Batch) -> Loss:
        total, terms = self.recipe.loss(self.model, batch)
        self._require_finite("the loss", total.detach())
        return Loss(total, terms) if counts(batch) else Loss(total * 0, 0)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        place = (self.recipe.seed, self.current_epoch, batch_index)
        with dropout.masks(place, batch.get(ROWS)):
            total, terms = self._loss(batch)
        self.training_loss.update(total, terms)
        self.log("training_loss", self.training_loss, on_step=False, on_epoch=True)
        # The gradients of all processes are averaged with equal weights, so each divides by the mean number of terms.
        mean_loss: Tensor = total / self._agreed(terms)
        return mean_loss

    def _agreed(self, terms: int) -> Tensor:
        """The mean number of terms over all processes. Raises in all of them if one has noted a signal."""
        own = torch.tensor([float(terms), float(interruption.is_asked())])
        agreed: Tensor = self.trainer.strategy.reduce(own, reduce_op="mean")
        if agreed[1] > 0:
            raise KeyboardInterrupt
        return agreed[0]

    def on_train_epoch_end(self) -> None:
        for name, parameter in self.model.named_parameters():
            self._require_finite(name, parameter.detach())

    def _require_finite(self, name: str, values: Tensor) -> None:
        if not values.isfinite().all():
            found = values[~values.isfinite()].flatten()[0].item()
            raise TrainingDiverged(
                f"{name} is {found:g} in epoch {self.current_epoch + 1}. Choose a smaller rate than "
                f"{self.recipe.rate:g}, or a smaller clip than {self.recipe.clip:g}."
            )

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        total, terms = self._loss(batch)
        self._agreed(terms)
        self.validation_loss.update(total, terms)
        self.log("validation_loss", self.validation_loss, on_step=False, on_epoch=True, prog_bar=True)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Logs the norm before clipping, where a jump of the loss shows first."""
        norm = nn.utils.get_total_norm([p.grad for p in self.parameters() if p.grad is not None])
        for name, metric in (
            ("gradient_norm", self.gradient_norm),
            ("gradient_norm_largest", self.gradient_norm_largest),
        ):
            metric.update(norm)
            self.log(name, metric, on_step=False, on_epoch=True)
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=self.recipe.rate)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class History(Callback):
    """One row of figures for each epoch, stored in every checkpoint."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.seconds = 0.0
        self._since = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._since = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        seconds = time.perf_counter() - self._since
        self.seconds += seconds
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        done = {"epoch": trainer.current_epoch + 1, "steps": trainer.global_step}
        self.rows.append({**done, **dict(sorted(figures.items())), "seconds": seconds})

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows, self.seconds = state_dict["rows"], state_dict["seconds"]


class _Kept(ModelCheckpoint):
    """A ModelCheckpoint that still finds its checkpoints after the directory was moved."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "dirpath": self.dirpath})


class _Start(Callback):
    """Writes a checkpoint before the first step, so that an interrupted run always has one.

    It also keeps our signal handlers. Lightning's handler of SIGTERM waits for the other processes, which wait for this
    one, and after one Ctrl-C it ignores the next.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        interruption.watch_again()
        directory = trainer.checkpoint_callback.dirpath  # type: ignore[union-attr]
        if trainer.current_epoch == 0:
            trainer.save_checkpoint(Path(str(directory)) / checkpoints.LAST)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Ends the processes that wait for this one, before Lightning sees that one has ended and kills all of them."""
        interruption.watch_again()
        watched = getattr(trainer.strategy.launcher, "procs", [])
        others = [*watched]
        watched.clear()
        for process in others:
            process.kill()
            process.wait()


def fresh(recipe: Recipe[Any], state: State) -> nn.Module:
    """The recipe's network, initialized from its seed."""
    torch.manual_seed(recipe.seed)
    return recipe.network(state)


def fit(
    recipe: Recipe[Data],
    model: nn.Module,
    training: Sequence[Example],
    validation: Sequence[Example],
    directory: Path | None = None,
    *,
    resume: bool = False,
    devices: int = 1,
    tensorboard: bool = False,
    progress: bool = False,
    say: Say | None = None,
    until: float | None = None,
) -> tuple[nn.Module, History]:
    """Trains a recipe's network.

    Args:
        recipe: the recipe with its options.
        model: the result of `fresh`; it is trained in place.
        training: the training examples.
        validation: the examples that choose the best epoch. If empty, the last epoch is used.
        directory: where checkpoints are written. Default: a temporary directory.
        resume: continue from the last checkpoint in `directory`, with the same result as an uninterrupted run. Without
            a checkpoint the run starts from the beginning.
        devices: the number of processes that share each batch.
        tensorboard: write logs for TensorBoard to `directory`.
        progress: show a progress bar.
        say: takes a line that tells the number of steps and the expected time. Default: it is printed above the bar,
            if there is one.
        until: a time of the monotonic clock, after which training is given up.

    Returns:
        The network of the best epoch, in evaluation mode, and the figures of all epochs.

    Raises:
        TrainingInterrupted: on Ctrl-C or SIGTERM, inside `interruption.noted`; the last complete epoch is kept.
        OutOfTime: after `until`.
    """
    with _scratch(directory) as place, _quiet():
        had_others = distributed.is_available() and distributed.is_initialized()
        torch.manual_seed(recipe.seed)
        learner, history = Learner(recipe, model), History()
        length = budget(recipe, training, recipe.passes(model))
        watching: list[Callback] = [Bar()] if progress else []
        watching += [Expectation(length, say)] if say or progress else []
        watching += [Deadline(until)] if until is not None else []
        trainer = _trainer(recipe, length, place, history, len(validation) > 0, devices, tensorboard, watching)
        batches = loader(recipe, training, shuffle=True, steps=0 if recipe.epochs else length.steps)
        held_out = loader(recipe, validation) if len(validation) else None
        last = place / checkpoints.DIRECTORY / checkpoints.LAST
        goes_on = resume and checkpoints.is_begun(place)
        if not (goes_on and _has_stopped(last, recipe, history, batches)):
            try:
                trainer.fit(learner, batches, held_out, ckpt_path=last if goes_on else None, weights_only=True)
            except (SystemExit, RuntimeError) as error:  # Lightning ends a run with the first on Ctrl-C
                if isinstance(error, RuntimeError) and not interruption.is_asked():
                    raise
                raise _interrupted(length, history, directory) from error
        if distributed.is_initialized() and not had_others:
            distributed.destroy_process_group()  # the processes do not work together after this
        if len(validation) and trainer.is_global_zero:
            best = checkpoints.read_checkpoint(place / checkpoints.DIRECTORY / checkpoints.BEST, "state_dict")
            learner.load_state_dict(best["state_dict"])
    return learner.model.eval(), history


def _has_stopped(last: Path, recipe: Recipe[Any], history: History, batches: DataLoader[Batch]) -> bool:
    """Whether a resumed run had already stopped early. If not, its batches are set to the next epoch."""
    earlier = checkpoints.read_checkpoint(last, "callbacks", "optimizer_states")["callbacks"]
    if stopped := earlier.get(_stopper(recipe).state_key, {}).get("stopped_epoch", 0) > 0:
        history.load_state_dict(earlier[history.state_key])
    # Lightning sets the sampler's epoch too, but only after it has taken the first batches of a resumed run.
    batches.sampler.set_epoch(len(earlier[history.state_key]["rows"]))  # type: ignore[attr-defined]
    return bool(stopped)


def _interrupted(length: Budget, history: History, directory: Path | None) -> TrainingInterrupted:
    remedy = f"{again('resume', True)} to continue in {directory}." if directory else "Nothing was kept."
    return TrainingInterrupted(
        f"Training was interrupted after {len(history.rows)} of {length.epochs} epochs. {remedy}"
    )


def _stopper(recipe: Recipe[Any]) -> EarlyStopping:
    return EarlyStopping("validation_loss", patience=recipe.patience)


def _trainer(
    recipe: Recipe[Any],
    length: Budget,
    place: Path,
    history: History,
    validated: bool,
    devices: int,
    tensorboard: bool,
    watching: Sequence[Callback],
) -> L.Trainer:
    directory = place / checkpoints.DIRECTORY
    kept: dict[str, Any] = {"dirpath": directory, "enable_version_counter": False, "save_on_train_epoch_end": True}
    best = _Kept(filename=Path(checkpoints.BEST).stem, monitor="validation_loss", save_weights_only=True, **kept)
    last = _Kept(filename=Path(checkpoints.LAST).stem, every_n_epochs=1, **kept)
    # The best one comes before the last one, which stores the state of the best one.
    callbacks: list[Callback] = [history, _Start(), *([best] if validated else []), last]
    if validated and recipe.patience:
        callbacks.append(_stopper(recipe))
    callbacks += watching
    return L.Trainer(
        **_processes(devices),
        max_epochs=length.epochs,
        precision=recipe.precision,
        gradient_clip_val=recipe.clip or None,
        callbacks=callbacks,
        plugins=[checkpoints.AtomicCheckpoints(), *_alone(devices)],
        logger=TensorBoardLogger(place, name="tensorboard", version="") if tensorboard else False,
        default_root_dir=place,
        enable_progress_bar=any(isinstance(each, Bar) for each in watching),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        use_distributed_sampler=False,
    )


def _processes(devices: int) -> dict[str, Any]:
    """Trainer options for one process, several started by Lightning, or those of torchrun on one or more machines."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        local = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // local
        return {"accelerator": "cpu", "strategy": "ddp", "devices": local, "num_nodes": nodes}
    return {"accelerator": "cpu", "devices": devices, "strategy": "ddp" if devices > 1 else "auto"}


def _alone(devices: int) -> list[Any]:
    """Plugins that keep a single process single inside a cluster job with more resources."""
    return [LightningEnvironment()] if devices == 1 and "TORCHELASTIC_RUN_ID" not in os.environ else []


@contextmanager
def _scratch(directory: Path | None) -> Iterator[Path]:
    if directory is not None:
        yield directory
        return
    with tempfile.TemporaryDirectory(prefix="fastgru-") as name:
        yield Path(name)


_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def own_random_numbers() -> Iterator[None]:
    """Saves and restores torch's random state around a training, and enables gradients for it.

    The random state belongs to the process, so threads train one after the other.
    """
    with _ONE_AT_A_TIME, torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences Lightning's advice on choices that are deliberate here, such as the number of worker processes."""
    logs = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
            warnings.filterwarnings("ignore", message=".*but have no `val_dataloader`.*")
            warnings.filterwarnings("ignore", message=".*GPU available but not used.*")
            warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")  # Lightning's own
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
