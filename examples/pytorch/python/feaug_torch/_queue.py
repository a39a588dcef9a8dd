"""enqueue, nearest and momentum_update as functions."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from ._library import whole_numbers

_ops = torch.ops.feaug


class Neighbours(NamedTuple):
    """What nearest finds, nearest first."""

    values: Tensor  #: N × D, or with k N × k × D: the rows as they are stored
    indices: Tensor  #: N, or N × k: their slots
    similarities: Tensor  #: N, or N × k: their cosines


def _fake_nearest(rows, cursor, filled, queries, k, normalize):
    count = queries.shape[0]
    return (
        queries.new_empty((count, k, rows.shape[1])),
        queries.new_empty((count, k), dtype=torch.int64),
        queries.new_empty((count, k)),
    )


torch.library.register_fake("feaug::nearest", _fake_nearest)
torch.library.register_fake("feaug::enqueue", lambda *_: None)
torch.library.register_fake("feaug::momentum_update", lambda *_: None)


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
    """Puts a batch (N × D, any N) into the queue in place of its oldest rows, in place."""
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
    """The k nearest rows by cosine, exactly, equal ones by the lower index; constants.

    Of any matrix; with a queue's counters among its filled rows, which are unit rows if it
    normalizes. Without k one, without an axis for it. A query with NaN finds index −1 and NaN.
    """
    if (cursor is None) != (filled is None):
        raise ValueError("nearest: cursor and filled: got one of them, wanted both or none")
    # As the rows are stored: the search is among these bits.
    found = Neighbours(
        *_ops.nearest(
            rows.detach(),
            cursor,
            filled,
            queries.detach().to(rows.dtype),
            1 if k is None else k,
            normalize,
        )
    )
    return found if k is not None else Neighbours(*(part.squeeze(1) for part in found))


@torch.no_grad()
def momentum_update(
    online_params: Iterable[Tensor], target_params: Iterable[Tensor], m: float
) -> None:
    """target = m·target + (1 − m)·online for all tensors of a network in one call, in place."""
    targets = [target.detach() for target in target_params]
    online = [parameter.detach() for parameter in online_params]
    if targets or online:
        _ops.momentum_update(targets, online, m)
