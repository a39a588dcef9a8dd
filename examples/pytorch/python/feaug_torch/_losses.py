"""The losses as functions. Each returns one number: for losses per row, the mean over rows."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from ._library import (
    contiguous_like,
    no_second_derivative,
    number,
    numbers,
    one_device,
    refuse_tracing,
    whole,
    whole_numbers,
)

_ops = torch.ops.feaug

# The number of differentiable arguments of each operator; they come first.
_DIFFERENTIABLE = {
    "info_nce": 4,
    "nt_xent": 3,
    "symmetric_info_nce": 3,
    "sigmoid": 4,
    "supervised_contrastive": 2,
    "negative_cosine": 2,
    "barlow_twins": 2,
    "vicreg": 2,
    "hypersphere": 2,
}


def _register(name: str, count: int) -> None:
    """Registers the fake and autograd formulas of a loss. Its operator returns the loss, then a
    gradient for each of the first `count` arguments: an empty tensor if it is not requested. Its
    last two arguments are the requested gradients and `by_loss`, the cotangent of the loss.
    """
    operator = getattr(_ops, name)

    def fake(*arguments: Any):
        first, wanted = arguments[0], arguments[-2]
        one_device(name, *(x for x in arguments if isinstance(x, Tensor)))
        computed_in = torch.float64 if first.dtype == torch.float64 else torch.float32
        loss = first.new_empty((), dtype=computed_in)
        gradients = (
            contiguous_like(x) if wants and x is not None else first.new_empty(0)
            for x, wants in zip(arguments[:count], wanted)
        )
        return loss, *gradients

    def setup_context(ctx, inputs, output):
        _, *gradients = output
        *arguments, wanted, by_loss = inputs
        ctx.set_materialize_grads(False)
        ctx.is_backward = by_loss is not None
        if ctx.is_backward:
            return
        ctx.mark_non_differentiable(*gradients)
        ctx.rest = [None if isinstance(x, Tensor) else x for x in arguments]
        needed = ctx.needs_input_grad[:count]
        ctx.recomputes = any(needs and not made for needs, made in zip(needed, wanted))
        # Recomputation needs all inputs. Otherwise keep the differentiable inputs, so that a
        # second derivative reaches the formula that refuses it.
        keep = [
            x if isinstance(x, Tensor) and (ctx.recomputes or (i < count and needed[i])) else None
            for i, x in enumerate(arguments)
        ]
        ctx.save_for_backward(*gradients, *keep)

    def backward(ctx, by_loss, *_):
        if ctx.is_backward:
            no_second_derivative(name)(ctx)
        nothing = [None] * (len(ctx.rest) + 2)
        if by_loss is None:
            return tuple(nothing)
        saved = ctx.saved_tensors
        gradients, inputs = saved[:count], saved[count:]
        needed = ctx.needs_input_grad[:count]
        if ctx.recomputes:
            arguments = [kept if plain is None else plain for kept, plain in zip(inputs, ctx.rest)]
            _, *results = operator(*arguments, list(needed), by_loss)
        else:
            results = [
                _ops.scaled(gradient, by_loss, x) if needs else None
                for gradient, x, needs in zip(gradients, inputs, needed)
            ]
        returned = [result if needs else None for result, needs in zip(results, needed)]
        return (*returned, *nothing[count:])

    torch.library.register_fake(f"feaug::{name}", fake)
    torch.library.register_autograd(f"feaug::{name}", backward, setup_context=setup_context)


torch.library.register_fake("feaug::scaled", lambda gradient, by_loss, x: contiguous_like(gradient))
torch.library.register_autograd("feaug::scaled", no_second_derivative("a loss"))
for _name, _count in _DIFFERENTIABLE.items():
    _register(_name, _count)


def _run(
    operator: Callable[..., tuple[Tensor, ...]],
    matrices: list[Tensor | None],
    scalars: list[Tensor | None],
    *options: Any,
    recompute: bool | None,
) -> Tensor:
    """Runs a loss. Converts the matrices to a common type, since they may differ under autocast,
    and the scalars to the compute type.
    """
    refuse_tracing(operator.__name__)
    dtype = matrices[0].dtype
    for x in matrices[1:]:
        if x is not None:
            dtype = torch.promote_types(dtype, x.dtype)
    computed_in = torch.float64 if dtype == torch.float64 else torch.float32
    arguments = [None if x is None else x.to(dtype) for x in matrices]
    arguments += [None if x is None else x.to(computed_in) for x in scalars]
    if recompute is None:
        # The gradient of a mean is small: in half it would underflow before the backward pass
        # multiplies it by the factor of GradScaler.
        recompute = dtype == torch.float16
    makes = torch.is_grad_enabled() and not recompute
    wanted = [makes and x is not None and x.requires_grad for x in arguments]
    return operator(*arguments, *options, wanted, None)[0]


def _number(operator: str, argument: str, value: float | Tensor) -> tuple[float, Tensor | None]:
    """A plain number and no tensor, or a placeholder and a tensor of one element (learnable)."""
    if isinstance(value, Tensor):
        return 1.0, value
    return number(operator, argument, value), None


def info_nce(
    queries: Tensor,
    keys: Tensor,
    *,
    negatives: Tensor | None = None,
    temperature: float | Tensor = 0.1,
    positive_offset: int = 0,
    in_batch_negatives: bool = True,
    recompute: bool | None = None,
) -> Tensor:
    """InfoNCE: the mean of −log softmax of every query's own key among all keys and negatives.

    queries N × D, keys M × D, negatives K × D; the key of query i is key i + positive_offset.
    in_batch_negatives=False: only `negatives` are negatives (MoCo). Logits are cosines /
    temperature.
    """
    plain, learnable = _number("info_nce", "temperature", temperature)
    return _run(
        _ops.info_nce,
        [queries, keys, negatives],
        [learnable],
        plain,
        whole("info_nce", "positive_offset", positive_offset),
        in_batch_negatives,
        recompute=recompute,
    )


def nt_xent(
    z0: Tensor,
    z1: Tensor,
    *,
    temperature: float | Tensor = 0.5,
    decoupled: bool = False,
    positive_weighting: float = 0.0,
    recompute: bool | None = None,
) -> Tensor:
    """NT-Xent, SimCLR's loss: classifies the other view of every row of two views (N × D) among the
    2N − 1 other rows. decoupled: DCL, and with positive_weighting (its σ) DCLW.
    """
    plain, learnable = _number("nt_xent", "temperature", temperature)
    return _run(
        _ops.nt_xent,
        [z0, z1],
        [learnable],
        plain,
        decoupled,
        number("nt_xent", "positive_weighting", positive_weighting),
        recompute=recompute,
    )


def symmetric_info_nce(
    queries: Tensor,
    keys: Tensor,
    *,
    temperature: float | Tensor = 0.1,
    recompute: bool | None = None,
) -> Tensor:
    """½ (info_nce(q, k) + info_nce(k, q)): CLIP's loss."""
    plain, learnable = _number("symmetric_info_nce", "temperature", temperature)
    return _run(_ops.symmetric_info_nce, [queries, keys], [learnable], plain, recompute=recompute)


def sigmoid(
    z0: Tensor,
    z1: Tensor,
    *,
    scale: float | Tensor = 10.0,
    bias: float | Tensor = -10.0,
    recompute: bool | None = None,
) -> Tensor:
    """SigLIP's loss: binary classification of every pair of rows, with logits scale·cos + bias."""
    plain_scale, learnable_scale = _number("sigmoid", "scale", scale)
    plain_bias, learnable_bias = _number("sigmoid", "bias", bias)
    return _run(
        _ops.sigmoid,
        [z0, z1],
        [learnable_scale, learnable_bias],
        plain_scale,
        plain_bias,
        recompute=recompute,
    )


def supervised_contrastive(
    features: Tensor,
    labels: Tensor,
    *,
    temperature: float | Tensor = 0.1,
    recompute: bool | None = None,
) -> Tensor:
    """SupCon's L_out: the positives of a row are all other rows with its label; the mean over rows
    that have a positive."""
    plain, learnable = _number("supervised_contrastive", "temperature", temperature)
    return _run(
        _ops.supervised_contrastive,
        [features],
        [learnable],
        whole_numbers(labels),
        plain,
        recompute=recompute,
    )


def negative_cosine(
    predictions: Tensor,
    targets: Tensor,
    *,
    form: Literal["simsiam", "byol"] = "simsiam",
    recompute: bool | None = None,
) -> Tensor:
    """SimSiam's −cos or BYOL's 2 − 2·cos between every row and its target. Detach constants."""
    if form not in ("simsiam", "byol"):
        raise ValueError(f'negative_cosine: form: got {form!r}, wanted "simsiam" or "byol"')
    return _run(
        _ops.negative_cosine, [predictions, targets], [], form == "simsiam", recompute=recompute
    )


def barlow_twins(
    z0: Tensor,
    z1: Tensor,
    *,
    lambda_param: float = 5e-3,
    eps: float = 1e-5,
    recompute: bool | None = None,
) -> Tensor:
    """Σ_j (1 − C_jj)² + lambda_param · Σ_{j≠k} C_jk², where C has the correlations between the
    features of the two views."""
    options = numbers("barlow_twins", lambda_param=lambda_param, eps=eps)
    return _run(_ops.barlow_twins, [z0, z1], [], *options, recompute=recompute)


def vicreg(
    z0: Tensor,
    z1: Tensor,
    *,
    lambda_param: float = 25.0,
    mu_param: float = 25.0,
    nu_param: float = 1.0,
    eps: float = 1e-4,
    recompute: bool | None = None,
) -> Tensor:
    """lambda·invariance + mu·½·(variance terms of both views) + nu·(their covariance terms)."""
    options = numbers(
        "vicreg", lambda_param=lambda_param, mu_param=mu_param, nu_param=nu_param, eps=eps
    )
    return _run(_ops.vicreg, [z0, z1], [], *options, recompute=recompute)


def hypersphere(
    z0: Tensor,
    z1: Tensor,
    *,
    t: float = 1.0,
    lam: float = 1.0,
    alpha: float = 2.0,
    recompute: bool | None = None,
) -> Tensor:
    """mean ‖û0 − û1‖^alpha + lam·½·(sum of the uniformities of both views). The uniformity is
    log mean exp(−t·‖û_i − û_j‖²) over pairs of unit rows."""
    options = numbers("hypersphere", t=t, lam=lam, alpha=alpha)
    return _run(_ops.hypersphere, [z0, z1], [], *options, recompute=recompute)
