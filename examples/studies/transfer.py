"""Study: what frozen features are worth for other classes and for another task than those of the training images."""

from __future__ import annotations

import pathlib
import tempfile

import numpy as np
import torch

import fashion_mnist
from evaluation import accuracies, box_overlap, few_shot_accuracy
from study import Study

TRAIN, HELD_OUT = 2048, 4096
SMALLEST, LARGEST, CLUTTER, PATCH = 12, 20, 6, 7  # pixels of an item's side; patches a canvas, and their side


def other_classes(random: np.random.Generator) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images of five random classes for training, images of the five others to evaluate on."""
    pixels, labels = fashion_mnist.images("train")
    seen = np.isin(labels, random.permutation(10)[:5])
    return {name: (pixels[rows], labels[rows]) for name, rows in
            (("train", random.choice(np.nonzero(seen)[0], TRAIN, replace=False)),
             ("t10k", random.choice(np.nonzero(~seen)[0], TRAIN + HELD_OUT, replace=False)))}


def canvas(item: np.ndarray, others: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, list[int]]:
    """A smaller copy of the item at a random place, on patches of other items; and its box (left, top, right, bottom)."""
    picture = np.zeros((28, 28), np.uint8)
    for other in others:
        row, column, to_row, to_column = random.integers(0, 29 - PATCH, 4)
        picture[to_row : to_row + PATCH, to_column : to_column + PATCH] = other[row : row + PATCH, column : column + PATCH] // 2
    side = int(random.integers(SMALLEST, LARGEST + 1))
    at = (np.arange(side) * 28) // side
    small = item[np.ix_(at, at)]
    top, left = random.integers(0, 29 - side, 2)
    lit = small > 0
    picture[top : top + side, left : left + side][lit] = small[lit]
    rows, columns = np.nonzero(lit.any(1))[0], np.nonzero(lit.any(0))[0]
    return picture, [left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1]


def canvases(random: np.random.Generator) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], dict[str, torch.Tensor]]:
    pixels, labels = fashion_mnist.images("train")
    pictures, boxes = {}, {}
    order = random.permutation(len(pixels))
    for name, chosen in (("train", order[:TRAIN]), ("t10k", order[TRAIN : TRAIN + HELD_OUT])):
        made = [canvas(pixels[one], pixels[random.choice(len(pixels), CLUTTER)], random) for one in chosen]
        pictures[name] = (np.stack([picture for picture, _ in made]), labels[chosen])
        boxes[name] = torch.tensor(np.array([box for _, box in made]))
    return pictures, boxes


def run(settings: dict) -> dict:
    torch.set_num_threads(1)
    random = np.random.default_rng(settings["seed"])
    options = {name.replace("-", "_"): value for name, value in settings.items() if name != "task"}
    with tempfile.TemporaryDirectory() as folder:
        at = pathlib.Path(folder)
        if settings["task"] == "other classes":
            fashion_mnist.write(at, **other_classes(random))
            _, _, rows, labels = fashion_mnist.features(at / "features", data=at, train_size=TRAIN, **options)
            return {**accuracies(rows[:TRAIN], labels[:TRAIN], rows[TRAIN:], labels[TRAIN:]),
                    "five_shot_accuracy_after": few_shot_accuracy(rows, labels, shots=5, draws=100)}
        pictures, boxes = canvases(random)
        fashion_mnist.write(at, **pictures)
        rows, _, others, _ = fashion_mnist.features(at / "features", data=at, train_size=TRAIN, **options)
        return {"box_overlap_after": box_overlap(rows, boxes["train"], others, boxes["t10k"])}


STUDY = Study(
    "transfer", [1, 2, 3, 4, 5], run=run,
    settings=[{"task": task, **one} for task in ("other classes", "boxes") for one in
              [{"method": "nnclr", "data-augmentation": "none", "augmentation": "none", "epochs": 0},
               *({"method": method, "data-augmentation": strength, "augmentation": augmentation, "epochs": 10}
                 for method in ("nnclr", "byol") for strength in ("none", "symmetric") for augmentation in ("none", "neighbour"))]])
