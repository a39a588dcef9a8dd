"""Augmentations of features as a module with a step counter."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from . import _augmentations as augmentations
from ._checkpoint import refuse_checkpoint
from ._queue_modules import SupportQueue
from .distributed import rank

_KINDS: dict[str, Callable[..., Tensor]] = {
    "mask": augmentations.mask,
    "noise": augmentations.gaussian_noise,
    "interpolate": augmentations.interpolate,
    "extrapolate": augmentations.extrapolate,
    "slerp": augmentations.slerp,
    "exchange_moments": augmentations.exchange_moments,
}
# Parameters that the module passes itself.
_OWN = ("x", "partner", "draw")
# Streams per kind, at most: one for the weight and one for the permutation.
_STREAMS = 2


class FeatureAugmentation(nn.Module):
    """One augmentation of features, or several applied in order; the identity in eval().

    kind: "mask", "noise", "interpolate", "extrapolate", "slerp", "exchange_moments", or "neighbour"
    (the nearest row of `queue`, a constant), with the parameters of the function of that name; or a
    list of kinds and of (kind, parameters).

    Draws depend only on seed, stream, step, row and column. The step counts forward passes and is
    in the state_dict: a resumed run makes the same draws as one without interruption. Modules with
    the same seed need disjoint streams for different draws; each entry of a list takes two streams.
    With several processes, each draws for its rows (by rank) what one process would draw for all
    rows; partners are rows of the process's own batch. Inside torch.utils.checkpoint it is refused,
    since the repeated forward pass would count again and make other draws. The queue is a
    submodule: its state is saved and moved with this module's.
    """

    step: Tensor

    def __init__(
        self,
        kind: str | Sequence[str | tuple[str, dict[str, Any]]],
        *,
        seed: int = 0,
        stream: int = 0,
        queue: SupportQueue | None = None,
        **parameters: Any,
    ):
        super().__init__()
        entries = [(kind, parameters)] if isinstance(kind, str) else [_entry(e) for e in kind]
        if not isinstance(kind, str) and parameters:
            raise ValueError(
                f"FeatureAugmentation: parameters: got {sorted(parameters)} with a list of kinds, "
                "wanted them in the list: (kind, parameters)"
            )
        for name, given in entries:
            _check(name, given, queue)
        self.entries = entries
        self.seed = seed
        self.stream = stream
        self.queue = queue
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor, partner: Tensor | None = None) -> Tensor:
        if not self.training:
            return x
        refuse_checkpoint("FeatureAugmentation: its step counter")
        first_row = rank() * x.shape[0]
        # A copy, since the backward pass needs this step after the counter has advanced.
        step = torch.ops.feaug.drawn_step(self.step)
        self.step.add_(1)
        for index, (kind, parameters) in enumerate(self.entries):
            if kind == "neighbour":
                x = self.queue.nearest(x).values.to(x.dtype)
                continue
            mixed = kind not in ("mask", "noise") and partner is not None
            x = _KINDS[kind](
                x,
                **({"partner": partner} if mixed else {}),
                **parameters,
                seed=self.seed,
                step=step,
                stream=self.stream + _STREAMS * index,
                row_offset=first_row,
            )
        return x

    def extra_repr(self) -> str:
        kinds = [
            kind if not parameters else f"{kind} {parameters}" for kind, parameters in self.entries
        ]
        return f"{', '.join(kinds)}, seed={self.seed}"


def _entry(given: str | tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    return (given, {}) if isinstance(given, str) else (given[0], dict(given[1]))


def _check(kind: str, parameters: dict[str, Any], queue: SupportQueue | None) -> None:
    known = (*_KINDS, "neighbour")
    if kind not in known:
        raise ValueError(
            f"FeatureAugmentation: kind: got {kind!r}, wanted one of {', '.join(known)}"
        )
    if kind == "neighbour":
        if queue is None:
            raise ValueError('FeatureAugmentation: queue: got none, wanted one for "neighbour"')
        takes = []
    else:
        takes = [name for name in inspect.signature(_KINDS[kind]).parameters if name not in _OWN]
    for name in parameters:
        if name not in takes:
            raise ValueError(
                f"FeatureAugmentation: {kind}: got a parameter {name!r}, "
                f"wanted {' or '.join(takes) or 'none'}"
            )
