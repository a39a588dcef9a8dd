"""Study: an encoder of hashed words and word pairs, trained on WordNet's glosses with and without word dropout."""

from __future__ import annotations

import functools
import re
import zlib

import numpy as np
import torch
from torch import nn

import wordnet
from evaluation import accuracies
from study import Study, kept
from training import features_of, mlp, train

BUCKETS, WORDS, EMBEDDED, FEATURES, EPOCHS = 1 << 14, 24, 128, 128, 10
NOTHING = BUCKETS  # fills rows of short glosses, and takes the place of words that are dropped


def bucket(text: str) -> int:
    return zlib.crc32(text.encode()) % BUCKETS


def hashed(texts: list[str]) -> torch.Tensor:
    """N × (2·WORDS − 1): the buckets of a gloss's first words, then those of its pairs of adjacent words."""
    rows = np.full((len(texts), 2 * WORDS - 1), NOTHING)
    for row, text in zip(rows, texts):
        words = re.findall(r"[a-z]+", text.lower())[:WORDS]
        row[: len(words)] = [bucket(word) for word in words]
        row[WORDS : WORDS + max(len(words) - 1, 0)] = [bucket(" ".join(pair)) for pair in zip(words, words[1:])]
    return torch.from_numpy(rows)


def dropped(rows: torch.Tensor, probability: float) -> torch.Tensor:
    """Drops every word with this probability, and the pairs that it is in. The first word stays, so that no row is empty."""
    keep = torch.rand(len(rows), WORDS) >= probability
    keep[:, 0] = True
    return torch.where(torch.cat([keep, keep[:, :-1] & keep[:, 1:]], 1), rows, NOTHING)


@functools.cache
def data() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Hashed glosses, their classes, and the first embedding of every bucket: the right singular vectors of the training glosses' tf-idf."""
    from scipy import sparse
    from scipy.sparse.linalg import svds

    texts, classes = wordnet.glosses()
    rows = hashed(texts)
    def first() -> np.ndarray:
        train_rows = rows[: wordnet.TRAIN].numpy()
        used = train_rows != NOTHING
        counts = sparse.csr_matrix((np.ones(used.sum()), (np.nonzero(used)[0], train_rows[used])), (len(train_rows), BUCKETS))
        weight = np.log(len(train_rows) / np.maximum(1, (counts > 0).sum(0).A1))
        _, values, directions = svds(counts @ sparse.diags(weight), EMBEDDED, random_state=0)
        scale = np.sqrt(len(train_rows)) / np.maximum(values, 1e-6 * values.max())  # a small set of glosses has fewer than EMBEDDED directions
        return (weight[:, None] * directions.T * scale).astype(np.float32)

    return rows, torch.from_numpy(classes), torch.from_numpy(kept("text", first))


class Encoder(nn.Module):
    def __init__(self, first: torch.Tensor):
        super().__init__()
        self.embedding = nn.EmbeddingBag.from_pretrained(torch.cat([first, torch.zeros(1, EMBEDDED)]), freeze=False, mode="sum", padding_idx=NOTHING)
        self.rest = mlp(EMBEDDED, 256, FEATURES)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.rest(nn.functional.normalize(self.embedding(rows), dim=1) * EMBEDDED**0.5)


def run(settings: dict) -> dict:
    torch.set_num_threads(1)
    rows, labels, first = data()
    torch.manual_seed(settings["seed"])
    encoder = Encoder(first)
    count = wordnet.TRAIN
    if settings["method"] == "raw":
        features = nn.functional.normalize(encoder.embedding(rows), dim=1).detach()
    else:
        train(encoder, lambda batch, number: dropped(rows[batch], settings["word-dropout"]), count, FEATURES, method=settings["method"],
              augmentation=settings["augmentation"], epochs=EPOCHS, seed=settings["seed"])
        features = features_of(encoder, rows)
    return accuracies(features[:count], labels[:count], features[count:], labels[count:])


STUDY = Study(
    "text", [1, 2, 3, 4, 5], run=run,
    settings=[{"method": "raw", "word-dropout": 0.0, "augmentation": "none"}] +
             [{"method": method, "word-dropout": dropout, "augmentation": augmentation} for method in ("nnclr", "byol")
              for dropout in (0.0, 0.15, 0.3) for augmentation in ("none", "neighbour", "mask", "interpolate")])
