"""enqueue, nearest and momentum_update as functions."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from ._library import number, one_device, refuse_tracing, whole, whole_numbers, writes_in_place

_ops = torch.ops.feaug


class Neighbours(NamedTuple):
    """Results of nearest, in order of descending similarity."""

    values: Tensor  #: N × D, or with k N × k × D: the rows as they are stored
    indices: Tensor  #: N, or N × k: their slots
    similarities: Tensor  #: N, or N × k: their cosines


def _fake_nearest(rows, cursor, filled, queries, k, normalize):
    one_device("nearest", rows, cursor, filled, queries)
    count = queries.shape[0]
    return (
        queries.new_empty((count, k, rows.shape[1])),
        queries.new_empty((count, k), dtype=torch.int64),
        queries.new_empty((count, k)),
    )


writes_in_place("enqueue", 0, 1, 2, 3)
writes_in_place("momentum_update", 0)
torch.library.register_fake("feaug::nearest", _fake_nearest)
torch.library.register_fake(
    "feaug::enqueue", lambda *arguments: one_device("enqueue", *arguments[:-1])
)
torch.library.register_fake(
    "feaug::momentum_update",
    lambda targets, online, _: one_device("momentum_update", *targets, *online),
)


def enqueue(
    rows: Tensor,
    cursor: Tensor,
    filled: Tensor,
    batch: Tensor,
    *,
    labels: Tensor | None = None,
    batch_labels: Tensor | None = None,
    normalize: bool = True,
) -> None:
    """Overwrites the oldest rows of the queue with a batch (N × D, any N), in place."""
    refuse_tracing("enqueue")
    if rows.requires_grad:
        raise ValueError(
            "enqueue: rows: got a tensor that requires a gradient, wanted a buffer, since rows are "
            "replaced"
        )
    if batch_labels is not None:
        batch_labels = whole_numbers(batch_labels)
    _ops.enqueue(
        rows,
        cursor,
        filled,
        labels,
        batch.detach().to(rows.dtype),
        batch_labels,
        normalize,
    )


def nearest(
    rows: Tensor,
    queries: Tensor,
    k: int | None = None,
    *,
    cursor: Tensor | None = None,
    filled: Tensor | None = None,
    normalize: bool = True,
) -> Neighbours:
    """The k nearest rows by cosine (exact search; ties go to the lower index), as constants.

    `rows` is any matrix, or with the counters of a queue its storage, of which only filled rows are
    searched; normalize: they are unit rows. Without k: one neighbour, and no axis of k. A query
    with NaN gets index −1 and NaN.
    """
    refuse_tracing("nearest")
    if (cursor is None) != (filled is None):
        raise ValueError("nearest: cursor and filled: got one of them, wanted both or none")
    # Queries are converted to the type of the rows; the search compares in this type.
    found = Neighbours(
        *_ops.nearest(
            rows.detach(),
            cursor,
            filled,
            queries.detach().to(rows.dtype),
            1 if k is None else whole("nearest", "k", k),
            normalize,
        )
    )
    return found if k is not None else Neighbours(*(part.squeeze(1) for part in found))


@torch.no_grad()
def momentum_update(
    online_params: Iterable[Tensor], target_params: Iterable[Tensor], m: float
) -> None:
    """target = m·target + (1 − m)·online for all tensors of a network in one call, in place. Integer
    tensors are copied (the counters of batch normalisation).
    """
    targets = [target.detach() for target in target_params]
    online = [parameter.detach() for parameter in online_params]
    counted = []  # pairs of integer tensors
    if len(targets) == len(online):
        averaged = []
        for to, of in zip(targets, online):
            (averaged if to.is_floating_point() or to.is_complex() else counted).append((to, of))
        for to, of in counted:
            if (of.dtype, of.shape) != (to.dtype, to.shape):
                raise ValueError(
                    f"momentum_update: online_params: got {of.dtype} of shape {tuple(of.shape)}, "
                    f"wanted {to.dtype} of shape {tuple(to.shape)} as its target"
                )
        targets, online = [to for to, _ in averaged], [of for _, of in averaged]
    if targets or online:
        _ops.momentum_update(targets, online, number("momentum_update", "m", m))
    for to, of in counted:
        to.copy_(of)
