"""Losses. Each is the mean over rows; one call computes the loss and its gradients.

They are made from the table of the compiled library: see _loss_table.py. A new row needs a new stub:

    python -c 'from feaug_jax import _losses; print(_losses.stub(), end="")' > _losses.pyi
"""

from functools import partial
from typing import Any, Literal  # noqa: F401: the functions use it

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from . import _loss_table
from ._axes import same_axes
from ._call import (  # noqa: F401: the functions use them
    an_array,
    call,
    check_features,
    computed_in,
    flag,
    number,
    one_number,
    whole,
    whole_numbers,
)
from ._library import losses
from ._loss_table import choice  # noqa: F401

_Attributes = tuple[tuple[str, Any], ...]
_ROWS = {loss.name: loss for loss in losses}


def _run(
    name: str, attributes: _Attributes, operands: list[Array], wanted: list[bool], by_loss: Array
) -> list[Array]:
    """The loss, and a gradient for every operand that can have one: an empty array if it is not
    requested. `by_loss`, if it is not empty, multiplies the gradients.
    """
    gradients = [
        jax.ShapeDtypeStruct(operand.shape if wants else (0,), operand.dtype)
        for operand, wants in zip(operands, wanted)
    ]
    loss = jax.ShapeDtypeStruct((), computed_in(operands[0]))
    arguments = same_axes([*operands, by_loss])
    return call(name, [loss, *gradients], *arguments, loss=name, **dict(attributes))


def _nothing(dtype: jnp.dtype) -> Array:
    """An absent operand."""
    return jnp.zeros(0, dtype)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _loss(name: str, attributes: _Attributes, recompute: bool, operands: list[Array]) -> Array:
    wanted = [False] * _ROWS[name].differentiable
    return _run(name, attributes, operands, wanted, _nothing(computed_in(operands[0])))[0]


def _forward(name: str, attributes: _Attributes, recompute: bool, operands: list[Any]):
    # perturbed: whether JAX differentiates with respect to the operand; false for constants and
    # results of stop_gradient.
    wanted = [operand.perturbed for operand in operands[: _ROWS[name].differentiable]]
    values = [operand.value for operand in operands]
    makes = [wants and not recompute for wants in wanted]
    loss, *gradients = _run(name, attributes, values, makes, _nothing(computed_in(values[0])))
    # An empty tuple is a residual without arrays: it tells which gradients are wanted.
    kept = [() if wants else None for wants in wanted] if recompute else None
    if not recompute:
        values = [None] * len(values)
        kept = [gradient if wants else None for gradient, wants in zip(gradients, wanted)]
    return loss, (values, kept)


def _backward(name: str, attributes: _Attributes, recompute: bool, kept: Any, by_loss: Array):
    values, gradients = kept
    if isinstance(by_loss, jax.custom_derivatives.SymbolicZero):
        return ([None] * len(values),)
    if recompute:
        wanted = [gradient is not None for gradient in gradients]
        _, *made = _run(name, attributes, values, wanted, by_loss)
        by_operand = [gradient if wants else None for gradient, wants in zip(made, wanted)]
    else:
        # 16-bit gradients are multiplied in float, since a scaled loss may exceed their range.
        by_operand = [
            None if gradient is None else (gradient.astype(by_loss.dtype) * by_loss).astype(gradient.dtype)
            for gradient in gradients
        ]
    return (by_operand + [None] * (len(values) - len(by_operand)),)


_loss.defvjp(_forward, _backward, symbolic_zeros=True)


def _mean_loss(
    name: str,
    matrices: list[ArrayLike | None],
    numbers: list[ArrayLike],
    labels: ArrayLike | None,
    options: list[Any],
    recompute: bool | None,
) -> Array:
    """Checks the arguments and runs a loss."""
    row = _ROWS[name]
    optional = [x.name for x in row.parameters if x.type.endswith("None")]
    given = {
        argument: an_array(name, argument, matrix)
        for argument, matrix in zip(row.matrices, matrices)
        if matrix is not None or argument not in optional
    }
    check_features(name, **given)
    dtype = given[row.matrices[0]].dtype
    computed = computed_in(given[row.matrices[0]])
    operands = [given.get(argument, _nothing(dtype)) for argument in row.matrices]
    operands += [
        one_number(name, argument, value, computed) for argument, value in zip(row.numbers, numbers)
    ]
    operands.append(
        whole_numbers(name, "labels", labels) if row.has_labels else _nothing(jnp.dtype(jnp.int32))
    )
    attributes = tuple(
        (option.name, np.int64(value) if option.type == "int" else value)
        for option, value in zip(row.options, options)
    )
    if recompute is not None:
        recompute = flag(name, "recompute", recompute)
    else:
        # The gradient of a mean is small: in half it would underflow before the backward pass
        # multiplies it by the factor of a scaled loss.
        recompute = dtype == jnp.float16
    return _loss(name, attributes, recompute, same_axes(operands))


def _define(loss: _loss_table.Loss) -> None:
    """Makes the function of a row."""
    arguments = [
        f'"{loss.name}"',
        f"[{', '.join(loss.matrices)}]",
        f"[{', '.join(loss.numbers)}]",
        "labels" if loss.has_labels else "None",
        f"[{', '.join(option.checked(loss.name) for option in loss.options)}]",
        "recompute",
    ]
    body = [f"return _mean_loss({', '.join(arguments)})"]
    loss.define(loss.declaration("ArrayLike", "Array"), body, globals())


def stub() -> str:
    """The text of _losses.pyi."""
    imports = ["from typing import Literal", "from jax import Array", "from jax.typing import ArrayLike"]
    return _loss_table.stub(losses, imports, "ArrayLike", "Array")


__all__ = []
for _row in losses:
    _define(_row)
    __all__.append(_row.name)
