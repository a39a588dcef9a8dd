"""Augmentations of features (N × D) as functions. A draw depends only on seed, step, stream, row
and column: it is the same on every run, for any number of threads, and in the backward pass.

`step` is a number, or a tensor with one int64, which may change without recompilation.
"""

from typing import Any

import torch
from torch import Tensor

from ._library import (
    contiguous_like,
    no_second_derivative,
    number,
    one_device,
    refuse_tracing,
    register_formula,
    sequence,
    whole,
)

_ops = torch.ops.feaug

# What the gradient with respect to x needs. Kinds not listed here need x and the partner.
_ADDS = ("gaussian_noise", "uniform_noise")  # nothing: the gradient is unchanged
_LINEAR = ("mask",)  # the same draws, applied to the gradient

_DRAW = ("seed", "step", "stream", "row_offset")  # keyword arguments of every draw

Weight = float | tuple[float, float] | tuple[str, float, float]


def _setup_augment(ctx, inputs, output):
    x, partner, step, kind, *rest = inputs
    ctx.kind, ctx.rest = kind, rest
    if kind in _ADDS:
        return
    if kind in _LINEAR:
        ctx.save_for_backward(step)
    else:
        ctx.save_for_backward(x, partner, step)


def _augment_backward(ctx, by_out):
    by_x = by_partner = None
    if ctx.kind in _ADDS:
        by_x = by_out
    elif ctx.kind in _LINEAR:
        (step,) = ctx.saved_tensors
        by_x = _ops.augment(by_out, None, step, ctx.kind, *ctx.rest)
    else:
        x, partner, step = ctx.saved_tensors
        wanted = list(ctx.needs_input_grad[:2])
        results = _ops.augment_backward(by_out, x, partner, step, ctx.kind, *ctx.rest, wanted)
        by_x, by_partner = (result if wants else None for result, wants in zip(results, wanted))
    return (by_x, by_partner, None, None, *(None for _ in ctx.rest))


def _fake_augment(x, partner, step, kind, *_):
    # A step may also be on the CPU.
    one_device(kind, x, partner, None if step.device.type == "cpu" else step)
    return contiguous_like(x)


def _fake_augment_backward(by_out, x, partner, step, kind, *rest):
    one_device(kind, by_out, x, partner)
    wanted = rest[-1]
    return (
        contiguous_like(x) if wanted[0] else x.new_empty(0),
        contiguous_like(partner) if wanted[1] and partner is not None else x.new_empty(0),
    )


def _setup_normalize(ctx, inputs, output):
    ctx.save_for_backward(*inputs)


torch.library.register_fake("feaug::augment", _fake_augment)
register_formula("augment", _setup_augment, _augment_backward)
torch.library.register_fake("feaug::augment_backward", _fake_augment_backward)
torch.library.register_autograd("feaug::augment_backward", no_second_derivative("a mix"))
torch.library.register_fake("feaug::drawn_step", contiguous_like)
torch.library.register_fake("feaug::l2_normalize", contiguous_like)
register_formula(
    "l2_normalize",
    _setup_normalize,
    lambda ctx, by_out: (_ops.l2_normalize_backward(by_out, *ctx.saved_tensors),),
)
torch.library.register_fake("feaug::l2_normalize_backward", lambda by_out, x: contiguous_like(x))
torch.library.register_autograd(
    "feaug::l2_normalize_backward", no_second_derivative("l2_normalize")
)


def l2_normalize(x: Tensor) -> Tensor:
    """Divides each row by its norm."""
    return _ops.l2_normalize(x)


def mask(x: Tensor, keep: float = 0.8, *, rescale: bool = False, **draw: Any) -> Tensor:
    """Keeps each feature with probability `keep` and sets the others to zero. rescale: multiplies
    the row by D / (number of kept features).
    """
    return _augment("mask", x, None, int(rescale), number("mask", "keep", keep), 0.0, draw)


def gaussian_noise(
    x: Tensor, scale: float = 0.05, *, relative: bool = False, **draw: Any
) -> Tensor:
    """x + scale·ε, ε standard normal. relative: scale·‖row‖·ε; the gradient treats ‖row‖ as a
    constant.
    """
    return _noise("gaussian_noise", x, scale, relative, draw)


def uniform_noise(x: Tensor, scale: float = 0.05, *, relative: bool = False, **draw: Any) -> Tensor:
    """x + scale·ε, ε uniform in [−1, 1)."""
    return _noise("uniform_noise", x, scale, relative, draw)


def interpolate(
    x: Tensor, partner: Tensor | None = None, *, weight: Weight = 0.5, **draw: Any
) -> Tensor:
    """w·x + (1 − w)·partner, w from 0 to 1. Without a partner: the rows of x in a random
    permutation.

    weight: a number, (low, high) for a uniform draw per row, or ("beta", α, β). Uses two streams.
    """
    return _augment("interpolate", x, partner, *_weight("interpolate", weight), draw)


def extrapolate(
    x: Tensor, partner: Tensor | None = None, *, weight: Weight = 1.5, **draw: Any
) -> Tensor:
    """As interpolate, with w ≥ 1: moves x away from the partner."""
    return _augment("extrapolate", x, partner, *_weight("extrapolate", weight), draw)


def slerp(x: Tensor, partner: Tensor | None = None, *, weight: Weight = 0.5, **draw: Any) -> Tensor:
    """Spherical interpolation between the directions of x and partner; otherwise as interpolate.
    The result has unit rows.
    """
    return _augment("slerp", x, partner, *_weight("slerp", weight), draw)


def exchange_moments(
    x: Tensor, partner: Tensor | None = None, *, eps: float = 1e-5, **draw: Any
) -> Tensor:
    """x with the mean and the standard deviation of its partner's row."""
    return _augment(
        "exchange_moments", x, partner, 0, number("exchange_moments", "eps", eps), 0.0, draw
    )


def _noise(kind: str, x: Tensor, scale: float, relative: bool, draw: dict[str, Any]) -> Tensor:
    return _augment(kind, x, None, int(relative), number(kind, "scale", scale), 0.0, draw)


def _augment(
    kind: str,
    x: Tensor,
    partner: Tensor | None,
    option: int,
    first: float,
    second: float,
    draw: dict[str, Any],
) -> Tensor:
    refuse_tracing(kind)
    for name in draw:
        if name not in _DRAW:
            raise TypeError(f"{kind}() got an unexpected keyword argument {name!r}")
    if partner is not None:
        dtype = torch.promote_types(x.dtype, partner.dtype)
        x, partner = x.to(dtype), partner.to(dtype)
    step = draw.get("step", 0)
    if not isinstance(step, Tensor):
        step = torch.full((), _word(kind, "step", step), dtype=torch.int64, device="cpu")
    seed = _signed(kind, whole(kind, "seed", draw.get("seed", 0)))
    stream = _word(kind, "stream", draw.get("stream", 0))
    row_offset = _word(kind, "row_offset", draw.get("row_offset", 0))
    return _ops.augment(x, partner, step, kind, option, first, second, seed, stream, row_offset)


def _word(kind: str, argument: str, value: Any) -> int:
    """A whole number that an operator can take; the operator checks its range."""
    number = whole(kind, argument, value)
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{kind}: {argument}: got {number}, wanted a number of 64 bits")
    return number


def _signed(kind: str, seed: int) -> int:
    """The 64 bits of a seed as a signed integer, since integers of operators are signed."""
    if not 0 <= seed < 2**64:
        raise ValueError(f"{kind}: seed: got {seed}, wanted 0 to 2^64 - 1")
    return seed - 2**64 if seed >= 2**63 else seed


def _weight(kind: str, weight: Weight) -> tuple[int, float, float]:
    """The weight as arguments of the operator: 0 fixed, 1 uniform, 2 beta, and its two numbers."""
    wanted = 'a number, (low, high) or ("beta", alpha, beta)'
    several = sequence(weight)
    if several is None:
        return 0, number(kind, "weight", weight, wanted), 0.0
    is_beta = len(several) == 3 and several[0] == "beta"
    if is_beta or len(several) == 2 and not isinstance(several[0], str):
        first, second = (number(kind, "weight", one, wanted) for one in several[-2:])
        return 2 if is_beta else 1, first, second
    raise ValueError(f"{kind}: weight: got {weight!r}, wanted {wanted}")
