"""Augmentations of features as a module that counts its steps."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from . import _augmentations as augmentations
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
# What the module gives itself.
_OWN = ("x", "partner", "draw")
# What a kind may draw from at most: a weight's stream and a permutation's.
_STREAMS = 2


class FeatureAugmentation(nn.Module):
    """An augmentation of features, or several in turn; in eval() the identity.

    kind: "mask", "noise", "interpolate", "extrapolate", "slerp", "exchange_moments", or "neighbour"
    (the nearest row of `queue`, a constant), with the parameters of the function of that name; or a
    list of kinds and of (kind, parameters).

    Draws depend on seed, stream, step and row alone. The step counts forward passes, and is in the
    state_dict: a run that is resumed draws what it would have drawn. Modules that share a seed draw
    apart if their streams do: each entry of a list takes two. Processes draw for their rows what
    one would for all, by rank; partners are of the own batch. Keep it out of what is checkpointed
    (torch.utils.checkpoint): a pass that is run again counts again, and draws anew.
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
        # In a tuple: its state is its owner's to save.
        self._queue = (queue,)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor, partner: Tensor | None = None) -> Tensor:
        if not self.training:
            return x
        first_row = rank() * x.shape[0]
        # The backward pass draws for this step, whatever has been counted until then.
        step = torch.ops.feaug.drawn_step(self.step)
        self.step.add_(1)
        for index, (kind, parameters) in enumerate(self.entries):
            if kind == "neighbour":
                x = self._queue[0].nearest(x).values.to(x.dtype)
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
