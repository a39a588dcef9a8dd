"""A support queue as a module. All of its state is in the state_dict; restoring is bit-exact."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ._checkpoint import refuse_checkpoint
from ._library import sequence, whole
from ._queue import Neighbours, enqueue, nearest
from .distributed import all_gather, copy_from_first


class SupportQueue(nn.Module):
    """A first-in-first-out queue of `size` rows with `dim` features.

    normalize: rows are stored as unit rows. labels: every row has a label.
    gather_distributed: enqueue inserts the rows of all processes.
    """

    rows: Tensor  #: size × dim
    cursor: Tensor  #: the slot of the next row
    filled: Tensor  #: the number of filled slots
    labels: Tensor | None  #: one per slot

    def __init__(
        self,
        size: int,
        dim: int,
        *,
        labels: bool = False,
        normalize: bool = True,
        gather_distributed: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        size = whole(type(self).__name__, "size", size)
        dim = whole(type(self).__name__, "dim", dim)
        if size < 1 or dim < 0:
            raise ValueError(
                f"{type(self).__name__}: size, dim: got {size}, {dim}, wanted a size of at least 1 "
                "and a dim of at least 0 (0: not known yet)"
            )
        self.normalize = normalize
        self.gather_distributed = gather_distributed
        self._shares_rows = False
        counter: dict[str, Any] = {"dtype": torch.int64, "device": device}
        self.register_buffer("rows", torch.zeros(size, dim, device=device, dtype=dtype))
        self.register_buffer("cursor", torch.zeros((), **counter))
        self.register_buffer("filled", torch.zeros((), **counter))
        self.register_buffer("labels", torch.full((size,), -1, **counter) if labels else None)

    def share_initial_rows(self) -> None:
        """Before the first batch of all processes: gives them the initial rows of the first one, since
        their generators may have different seeds. Only modules that begin with random rows call it.
        """
        if self.gather_distributed and not self._shares_rows:
            copy_from_first(self.rows)
            self._shares_rows = True

    @torch.no_grad()
    def enqueue(self, rows: Tensor, labels: Tensor | None = None) -> None:
        """Overwrites the oldest rows with a batch (N × dim, any N). Of a batch larger than the
        queue the last rows remain.
        """
        refuse_checkpoint(f"{type(self).__name__}: the queue")
        self._enqueue(rows, labels)

    @torch.no_grad()
    def _enqueue(self, rows: Tensor, labels: Tensor | None = None) -> None:
        """enqueue, for callers that have refused checkpointing before they changed anything."""
        if self.gather_distributed:
            rows = all_gather(rows.detach())
            labels = None if labels is None else all_gather(labels)
        enqueue(
            self.rows,
            self.cursor,
            self.filled,
            rows,
            labels=self.labels,
            batch_labels=labels,
            normalize=self.normalize,
        )

    @torch.no_grad()
    def nearest(self, queries: Tensor, k: int | None = None) -> Neighbours:
        """The k nearest filled rows of each query, as constants. Without k: one row, and no axis
        of k. Call it before enqueue; otherwise a row is its own nearest neighbour.
        """
        return nearest(
            self.rows,
            queries,
            k,
            cursor=self.cursor,
            filled=self.filled,
            normalize=self.normalize,
        )

    def extra_repr(self) -> str:
        size, dim = self.rows.shape
        return f"size={size}, dim={dim}, normalize={self.normalize}"


def bank_size(owner: str, size: int | Sequence[int]) -> tuple[int, int] | None:
    """lightly's (size, dim); 0: no bank."""
    given = tuple(whole(owner, "size", one) for one in sequence(size) or (size,))
    if len(given) == 2 and min(given) > 0:
        return given[0], given[1]
    if given[0] == 0:
        return None
    raise ValueError(f"{owner}: memory bank size: got {size}, wanted (size, dim), or 0 for none")


@torch.no_grad()
def fill_randomly(queue: SupportQueue) -> None:
    """Fills all slots with random unit rows, like the initial banks of lightly."""
    queue.rows.copy_(nn.functional.normalize(torch.randn_like(queue.rows), dim=1))
    queue.filled.fill_(queue.rows.shape[0])


def random_queue(size: int, dim: int, **options: Any) -> SupportQueue:
    """A queue filled with random rows."""
    queue = SupportQueue(size, dim, **options)
    fill_randomly(queue)
    return queue


class NNMemoryBankModule(SupportQueue):
    """NNCLR's memory bank: returns the nearest row of the bank for each row, then, with update,
    enqueues the rows.

    Rows are stored and returned as given. size: (size, dim), or size alone; then dim is that of the
    first batch or of a state_dict. The bank starts with random unit rows, as in lightly; with
    filled=False it starts empty and must be updated before the first lookup without update.
    """

    def __init__(
        self,
        size: int | Sequence[int] = 2**16,
        gather_distributed: bool = False,
        filled: bool = True,
    ):
        alone = sequence(size) is None
        known = (size, 0) if alone else bank_size("NNMemoryBankModule", size)
        if known is None:
            raise ValueError(f"NNMemoryBankModule: size: got {size}, wanted at least one row")
        super().__init__(*known, normalize=False, gather_distributed=gather_distributed)
        self._begins_filled = filled
        if filled and known[1] > 0:
            fill_randomly(self)

    def forward(self, output: Tensor, update: bool = False) -> Tensor:
        if update:
            refuse_checkpoint("NNMemoryBankModule: the bank")
        if self.rows.shape[1] == 0:
            self._allocate(output.shape[1])
        if update and not self._begins_filled and self.filled == 0:
            self._enqueue(output)  # the first batch is searched in itself
            return self.nearest(output).values
        if update:
            self.share_initial_rows()
        neighbours = self.nearest(output).values
        if update:
            self._enqueue(output)
        return neighbours

    def _allocate(self, dim: int) -> None:
        # The first batch may come under inference_mode (Lightning's sanity check). A tensor made
        # there could not be written afterwards.
        with torch.inference_mode(False):
            self.rows = self.rows.new_zeros(self.rows.shape[0], dim)
            if self._begins_filled:
                fill_randomly(self)

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        saved = state_dict.get(prefix + "rows")
        if saved is not None and self.rows.shape[1] == 0:
            self._allocate(saved.shape[1])
        super()._load_from_state_dict(state_dict, prefix, *rest)
