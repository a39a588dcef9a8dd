"""Losses. Each is the mean over rows; one call computes the loss and its gradients."""

from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ._axes import same_axes
from ._call import call, check_features, computed_in

_Attributes = tuple[tuple[str, Any], ...]


def _run(
    operator: str, attributes: _Attributes, operands: list[Array], wanted: list[bool]
) -> list[Array]:
    """The loss, and a gradient for every operand: an empty array if it is not requested."""
    gradients = [
        jax.ShapeDtypeStruct(operand.shape if wants else (0,), operand.dtype)
        for operand, wants in zip(operands, wanted)
    ]
    loss = jax.ShapeDtypeStruct((), computed_in(operands[0]))
    return call(operator, [loss, *gradients], *operands, **dict(attributes))


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _loss(operator: str, attributes: _Attributes, operands: list[Array]) -> Array:
    return _run(operator, attributes, operands, [False] * len(operands))[0]


def _forward(operator: str, attributes: _Attributes, operands: list[Any]):
    # perturbed: whether JAX differentiates with respect to the operand; false for constants and
    # results of stop_gradient.
    wanted = [operand.perturbed for operand in operands]
    loss, *gradients = _run(operator, attributes, [operand.value for operand in operands], wanted)
    return loss, [gradient if wants else None for gradient, wants in zip(gradients, wanted)]


def _backward(_operator: str, _attributes: _Attributes, gradients: list[Any], by_loss: Array):
    def by_operand(gradient: Array | None) -> Array | None:
        return None if gradient is None else (gradient * by_loss).astype(gradient.dtype)

    return ([by_operand(gradient) for gradient in gradients],)


_loss.defvjp(_forward, _backward, symbolic_zeros=True)


def _contrast(operator: str, rows: dict[str, ArrayLike], temperature: ArrayLike) -> Array:
    matrices = {name: jnp.asarray(side) for name, side in rows.items()}
    check_features(operator, **matrices)
    operands = list(matrices.values())
    operands.append(jnp.asarray(temperature, computed_in(operands[0])))
    return _loss(operator, (), same_axes(operands))


def info_nce(queries: ArrayLike, keys: ArrayLike, temperature: ArrayLike = 0.1) -> Array:
    """InfoNCE: the mean of −log softmax of each query's own key among all keys.

    queries N × D; keys M × D with M ≥ N, of which the first N are the queries' own. Rows are
    divided by their norms; logits are cosines / temperature. The temperature is a number or an
    array of one, which may be learnable. No N × M matrix is stored. For a side behind
    jax.lax.stop_gradient no gradient is computed.
    """
    return _contrast("info_nce", {"queries": queries, "keys": keys}, temperature)


def nt_xent(a: ArrayLike, b: ArrayLike, temperature: ArrayLike = 0.1) -> Array:
    """NT-Xent, SimCLR's loss: classifies the other view of every row of two views (N × D) among the
    2N − 1 other rows; the mean over 2N rows. Otherwise as info_nce.
    """
    return _contrast("nt_xent", {"a": a, "b": b}, temperature)


def negative_cosine(
    prediction: ArrayLike, target: ArrayLike, form: Literal["byol", "simsiam"] = "byol"
) -> Array:
    """BYOL's 2 − 2·cos or SimSiam's −cos between predictions and targets (N × D), the mean over
    rows. For a side behind jax.lax.stop_gradient no gradient is computed; both methods apply it to
    the target.
    """
    if form not in ("byol", "simsiam"):
        raise ValueError(f'negative_cosine: form: got {form!r}, wanted "byol" or "simsiam"')
    operands = [jnp.asarray(prediction), jnp.asarray(target)]
    check_features("negative_cosine", prediction=operands[0], target=operands[1])
    return _loss("negative_cosine", (("simsiam", form == "simsiam"),), same_axes(operands))
