"""A support queue: a first-in-first-out queue of unit rows, and exact search in it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from ._axes import same_axes
from ._call import as_pairs, call, check_features, from_pairs


class SupportQueue(NamedTuple):
    """A first-in-first-out queue of unit rows. The three arrays are its complete state."""

    rows: Array  #: capacity × D
    cursor: Array  #: the slot of the next row, int32
    size: Array  #: the number of filled slots, int32


class Neighbours(NamedTuple):
    """Results of nearest. With k there is an axis of k after the first, nearest first."""

    values: Array  #: N × D, the rows as they are stored
    indices: Array  #: N, their slots, int32
    similarities: Array  #: N, their cosines


def support_queue(capacity: int, features: int, dtype: DTypeLike = jnp.float32) -> SupportQueue:
    """An empty queue."""
    rows = jnp.zeros((capacity, features), dtype)
    # Two arrays: a donated buffer may not be donated twice.
    return SupportQueue(rows, jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))


def enqueue(queue: SupportQueue, rows: ArrayLike, *, after: Any = None) -> SupportQueue:
    """The queue with its oldest rows replaced by a batch (N × D, any N), divided by their norms.

    Of a batch larger than the queue the last rows remain. A queue has constants: there is no
    gradient. The result is written into the memory of the argument if XLA no longer needs the
    argument: donate the queue to the jitted function, or carry it through a scan.

    after: arrays to compute first, e.g. a loss. If the same step reads the queue, pass a result of
    the read; otherwise XLA may schedule the read after the write and then copies the queue.
    """
    queue, batch, *first = jax.lax.stop_gradient(
        (queue, jnp.asarray(rows), *jax.tree.leaves(after))
    )
    check_features("enqueue", **{"queue.rows": queue.rows, "rows": batch})
    counters = _counters("enqueue", queue)
    rows_after, counters_after = call(
        "enqueue",
        [_like(queue.rows), _like(counters)],
        *same_axes([queue.rows, counters, batch, *first]),
        aliases={0: 0, 1: 1},
    )
    return SupportQueue(rows_after, *from_pairs(counters_after))


def nearest(queue: SupportQueue, queries: ArrayLike, k: int | None = None) -> Neighbours:
    """The nearest row of the queue to each query (N × D) by cosine, or the k nearest.

    The search is exact; ties go to the lowest slot. A row with NaN ranks after all others; a query
    with NaN gets slot −1 and NaN. Neighbours are constants: there is no gradient.
    """
    queue, wanted = jax.lax.stop_gradient((queue, jnp.asarray(queries)))
    check_features("nearest", **{"queue.rows": queue.rows, "queries": wanted})
    each = 1 if k is None else k
    if each < 1:
        raise ValueError(f"nearest: k: got {k}, wanted at least 1")
    count, features = wanted.shape
    values, slots, similarities = call(
        "nearest",
        [
            jax.ShapeDtypeStruct((count * each, features), wanted.dtype),
            jax.ShapeDtypeStruct((count, each, 2), jnp.int32),
            jax.ShapeDtypeStruct((count, each), wanted.dtype),
        ],
        *same_axes([queue.rows, _counters("nearest", queue), wanted]),
        k=np.int64(each),
    )
    ranks = () if k is None else (k,)
    return Neighbours(
        values.reshape(count, *ranks, features),
        from_pairs(slots).reshape(count, *ranks),
        similarities.reshape(count, *ranks),
    )


def _counters(operator: str, queue: SupportQueue) -> Array:
    for name, counter in (("cursor", queue.cursor), ("size", queue.size)):
        if jnp.shape(counter) != () or jnp.result_type(counter) != jnp.int32:
            raise TypeError(
                f"{operator}: queue.{name}: got {jnp.result_type(counter)} of shape "
                f"{jnp.shape(counter)}, wanted one int32"
            )
    return as_pairs(jnp.stack([queue.cursor, queue.size]))


def _like(array: Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype)
