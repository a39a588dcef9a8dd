"""Accuracy of frozen features: a linear probe, nearest neighbours, few labelled rows, bounding boxes."""

from __future__ import annotations

import numpy as np
import torch
from feaug_torch import nearest
from torch import nn


def standardised(train: torch.Tensor, other: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both by the training rows' mean and standard deviation."""
    mean, scale = train.mean(0), train.std(0) + 1e-5
    return (train - mean) / scale, (other - mean) / scale


def linear_probe(train: torch.Tensor, labels: torch.Tensor, held_out: torch.Tensor, updates: int = 300) -> torch.Tensor:
    """The classes that multinomial logistic regression gives the held-out rows. Full-batch AdamW, as in train_fashion_mnist."""
    train, held_out = standardised(train, held_out)
    probe = nn.Linear(train.shape[1], int(labels.max()) + 1)
    nn.init.zeros_(probe.weight)
    nn.init.zeros_(probe.bias)
    optimizer = torch.optim.AdamW(probe.parameters(), lr=0.05, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, updates)
    for _ in range(updates):
        optimizer.zero_grad()
        nn.functional.cross_entropy(probe(train), labels).backward()
        optimizer.step()
        schedule.step()
    return probe(held_out).argmax(1)


def nearest_neighbours(train: torch.Tensor, labels: torch.Tensor, held_out: torch.Tensor, k: int = 20) -> torch.Tensor:
    """The classes that the k nearest training rows vote for, weighted by their cosines."""
    found = nearest(train, held_out, min(k, len(train)))
    votes = torch.zeros(len(held_out), int(labels.max()) + 1)
    votes.scatter_add_(1, labels[found.indices], found.similarities.float().clamp(min=0))
    return votes.argmax(1)


def accuracies(train: torch.Tensor, labels: torch.Tensor, held_out: torch.Tensor, held_out_labels: torch.Tensor) -> dict[str, float]:
    """Shares of held-out rows whose class is found, by the names of a sweep's results."""
    return {"linear_accuracy_after": (linear_probe(train, labels, held_out) == held_out_labels).double().mean().item(),
            "knn_accuracy_after": (nearest_neighbours(train, labels, held_out) == held_out_labels).double().mean().item()}


def few_shot_accuracy(features: torch.Tensor, labels: torch.Tensor, *, shots: int, draws: int) -> float:
    """The mean over `draws` random choices of `shots` labelled rows a class: every other row gets the class whose mean it is nearest to.

    Rows are centred by the labelled rows and normalised.
    """
    random = np.random.default_rng(0)  # the same choices for all features that are compared
    classes = labels.unique()
    shares = []
    for _ in range(draws):
        support = torch.stack([torch.from_numpy(random.choice(torch.nonzero(labels == one).flatten().numpy(), shots, replace=False)) for one in classes])
        unit = nn.functional.normalize(features - features[support].mean((0, 1)), dim=1)
        means = unit[support].mean(1)
        query = torch.ones(len(labels), dtype=torch.bool)
        query[support.flatten()] = False
        found = classes[torch.cdist(unit[query], means).argmin(1)]
        shares.append((found == labels[query]).double().mean().item())
    return float(np.mean(shares))


def box_overlap(train: torch.Tensor, boxes: torch.Tensor, held_out: torch.Tensor, held_out_boxes: torch.Tensor) -> float:
    """The mean intersection over union of held-out boxes (left, top, right, bottom) with those of a ridge regression on the features."""
    train, held_out = (torch.cat([part, torch.ones(len(part), 1)], 1).double() for part in standardised(train, held_out))
    weights = torch.linalg.solve(train.T @ train + 1e-3 * len(train) * torch.eye(train.shape[1], dtype=torch.float64), train.T @ boxes.double())
    found, true = held_out @ weights, held_out_boxes.double()
    sides = (torch.minimum(found[:, 2:], true[:, 2:]) - torch.maximum(found[:, :2], true[:, :2])).clamp(min=0)
    common = sides.prod(1)
    area = [(box[:, 2:] - box[:, :2]).clamp(min=0).prod(1) for box in (found, true)]
    return (common / (area[0] + area[1] - common)).mean().item()
