"""RecBole's GRU4Rec: the next item of a session, over sequences of up to 50 items."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.sequential_recommender import GRU4Rec
from recbole.trainer import Trainer
from recbole.utils import init_seed

from programs.program import Program

USERS, ITEMS, STEPS = 60, 200, 40
SETTINGS = {
    "data_path": ".",
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "TIME_FIELD": "timestamp",
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "MAX_ITEM_LIST_LENGTH": 50,
    "train_neg_sample_args": None,
    "embedding_size": 64,
    "hidden_size": 128,
    "num_layers": 1,
    "dropout_prob": 0.2,
    "loss_type": "CE",
    "epochs": 2,
    "train_batch_size": 128,
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"},
    "use_gpu": False,
    "show_progress": False,
    "seed": 1,
    "reproducibility": True,
}


def write_walks(folder):
    """Each user goes from item to item in small steps; RecBole reads a file."""
    numbers = np.random.default_rng(1)
    start = numbers.integers(ITEMS, size=(USERS, 1))
    items = (start + numbers.integers(1, 4, (USERS, STEPS)).cumsum(axis=1)) % ITEMS
    folder.mkdir(exist_ok=True)
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    lines += [f"{user}\t{item}\t{time}" for user, row in enumerate(items) for time, item in enumerate(row)]
    (folder / f"{folder.name}.inter").write_text("\n".join(lines) + "\n")


def make():
    """The recommender, in the folder that the process runs in."""
    write_walks(Path("walks"))
    config = Config(model="GRU4Rec", dataset="walks", config_dict=SETTINGS)
    logging.disable()
    init_seed(config["seed"], config["reproducibility"])
    train, _, test = data_preparation(config, create_dataset(config))
    init_seed(config["seed"], config["reproducibility"])
    model = GRU4Rec(config, train.dataset)
    trainer, losses = Trainer(config, model), []

    @torch.no_grad()
    def predict():
        model.eval()
        return torch.cat([model.full_sort_predict(batch[0]) for batch in test]).numpy().ravel()

    return Program(
        fit=lambda: losses.append(trainer.fit(train, saved=False, verbose=False)),
        predict=predict,
        loss=lambda: float(trainer.train_loss_dict[max(trainer.train_loss_dict)]),
        model=model,
    )
