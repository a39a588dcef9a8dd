"""Functions for batches distributed over processes. The default group is torch.distributed's; with
one process they have no effect. Every process must have the same number of rows; otherwise all of
them raise the same error (a DataLoader with drop_last=True never makes an uneven batch).

The gradients are made for DistributedDataParallel, which averages them over processes: the average
is the gradient of one process with all rows.
"""

import torch
import torch.distributed as dist
from torch import Tensor


def world_size(group: dist.ProcessGroup | None = None) -> int:
    """The number of processes; 1 without torch.distributed."""
    return dist.get_world_size(group) if dist.is_available() and dist.is_initialized() else 1


def rank(group: dist.ProcessGroup | None = None) -> int:
    """The rank of this process; 0 without torch.distributed."""
    return dist.get_rank(group) if dist.is_available() and dist.is_initialized() else 0


def _require_same_rows(x: Tensor, gather, group: dist.ProcessGroup | None) -> None:
    """Without this exchange, processes with different numbers of rows wait for each other or abort.
    It waits for the device; compiled and captured functions, which cannot wait, leave it out.
    """
    counts = torch.empty(world_size(group), dtype=torch.int64, device=x.device)
    gather(counts, torch.full((1,), x.shape[0], dtype=torch.int64, device=x.device), group=group)
    if bool((counts != x.shape[0]).any()):
        raise ValueError(
            f"all_gather: x: got {', '.join(map(str, counts.tolist()))} rows in the processes, "
            "wanted the same number in each"
        )


def _gathered(x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    # The name in newer versions of PyTorch; older ones have only the other name.
    gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
    processes, rows = world_size(group), x.shape[0]
    if not torch.compiler.is_compiling() and not (
        x.is_cuda and torch.cuda.is_current_stream_capturing()
    ):
        _require_same_rows(x, gather, group)
    parts = x.new_empty((processes * rows, *x.shape[1:]))
    gather(parts, x.contiguous(), group=group)
    return parts


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, group, same_loss):
        ctx.group, ctx.same_loss, ctx.rows = group, same_loss, x.shape[0]
        return _gathered(x, group)

    @staticmethod
    def backward(ctx, by_all):
        """The sum of the gradients of all processes, for this process's rows. With the same loss,
        all processes have the same gradient."""
        if not ctx.same_loss:
            by_all = by_all.contiguous().clone()
            dist.all_reduce(by_all, group=ctx.group)
        own = by_all.narrow(0, rank(ctx.group) * ctx.rows, ctx.rows)
        return own * world_size(ctx.group) if ctx.same_loss else own, None, None


def _gather(x: Tensor, group: dist.ProcessGroup | None, same_loss: bool) -> Tensor:
    if world_size(group) == 1:
        return x
    return _Gather.apply(x, group, same_loss) if x.requires_grad else _gathered(x, group)


@torch.no_grad()
def copy_from_first(x: Tensor, group: dist.ProcessGroup | None = None) -> None:
    """Overwrites x by that of the first process."""
    if world_size(group) > 1:
        source = 0 if group is None else dist.get_global_rank(group, 0)
        dist.broadcast(x, source, group=group)


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx, loss, group):
        mean = loss / world_size(group)
        dist.all_reduce(mean, group=group)
        return mean

    @staticmethod
    def backward(ctx, by_mean):
        return by_mean, None


def all_gather(x: Tensor, group: dist.ProcessGroup | None = None) -> Tensor:
    """The rows of all processes, in order of rank. The gradient of a row is the sum of the
    gradients of all processes' losses. Use it for losses that differ between processes.
    """
    return _gather(x, group, same_loss=False)


def all_gather_for_same_loss(x: Tensor, group: dist.ProcessGroup | None = None) -> Tensor:
    """As all_gather, for a loss of all rows that is the same in every process. The gradient with
    respect to this process's rows needs no communication.
    """
    return _gather(x, group, same_loss=True)


def mean_loss(loss: Tensor, group: dist.ProcessGroup | None = None) -> Tensor:
    """The mean of the losses of all processes, which is the loss of all rows. Its gradient is
    passed to this process's loss unchanged, since DistributedDataParallel divides.
    """
    return loss if world_size(group) == 1 else _Mean.apply(loss, group)
