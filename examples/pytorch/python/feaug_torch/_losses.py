"""The losses as functions. Each returns one number: for losses per row, the mean over rows.

They are made from the table of the compiled library: see _loss_table.py. A new row needs a new stub:

    python -c 'from feaug_torch import _losses; print(_losses.stub(), end="")' > _losses.pyi
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Literal  # noqa: F401

import torch
from torch import Tensor

from . import _loss_table
from ._library import (  # noqa: F401: the functions use them, and Literal
    contiguous_like,
    flag,
    no_second_derivative,
    number,
    number_or_tensor,
    one_device,
    refuse_tracing,
    register_formula,
    whole,
    whole_numbers,
)
from ._loss_table import choice  # noqa: F401

_ops = torch.ops.feaug


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
            # Outside a graph of second derivatives, the formula of `scaled` is not needed.
            graph = torch.is_grad_enabled()
            with nullcontext() if graph else torch._C._AutoDispatchBelowAutograd():
                results = [
                    _ops.scaled(gradient, by_loss, x) if needs else None
                    for gradient, x, needs in zip(gradients, inputs, needed)
                ]
        returned = [result if needs else None for result, needs in zip(results, needed)]
        return (*returned, *nothing[count:])

    torch.library.register_fake(f"feaug::{name}", fake)
    register_formula(name, setup_context, backward)


torch.library.register_fake("feaug::scaled", lambda gradient, by_loss, x: contiguous_like(gradient))
torch.library.register_autograd("feaug::scaled", no_second_derivative("a loss"))


def _converted(x: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return x if x is None or x.dtype == dtype else x.to(dtype)


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
        if x is not None and x.dtype != dtype:
            dtype = torch.promote_types(dtype, x.dtype)
    computed_in = torch.float64 if dtype == torch.float64 else torch.float32
    arguments = [_converted(x, dtype) for x in matrices]
    arguments += [_converted(x, computed_in) for x in scalars]
    if recompute is None:
        # The gradient of a mean is small: in half it would underflow before the backward pass
        # multiplies it by the factor of GradScaler.
        recompute = dtype == torch.float16
    makes = torch.is_grad_enabled() and not recompute
    wanted = [makes and x is not None and x.requires_grad for x in arguments]
    return operator(*arguments, *options, wanted, None)[0]


def _define(loss: _loss_table.Loss) -> None:
    """Makes the function of a row."""
    arguments = [
        f"_ops.{loss.name}",
        f"[{', '.join(loss.matrices)}]",
        f"[{', '.join(f'learnable_{name}' for name in loss.numbers)}]",
        *(["whole_numbers(labels)"] if loss.has_labels else []),
        *(
            f"plain_{x.name}" if x.is_number else x.checked(loss.name)
            for x in loss.parameters
            if x.is_number or x in loss.options
        ),
        "recompute=recompute",
    ]
    body = [
        f'plain_{name}, learnable_{name} = number_or_tensor("{loss.name}", "{name}", {name})'
        for name in loss.numbers
    ]
    body.append(f"return _run({', '.join(arguments)})")
    loss.define(loss.declaration("Tensor", "Tensor"), body, globals())


_table = _loss_table.losses_of(_ops.loss_table())


def stub() -> str:
    """The text of _losses.pyi."""
    imports = ["from typing import Literal", "from torch import Tensor"]
    return _loss_table.stub(_table, imports, "Tensor", "Tensor")


__all__ = []
for _loss in _table:
    _register(_loss.name, _loss.differentiable)
    _define(_loss)
    __all__.append(_loss.name)
