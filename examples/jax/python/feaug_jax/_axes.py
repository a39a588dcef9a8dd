"""The mesh axes of jax.shard_map along which an array differs between devices.

JAX tracks them to check the gradients and results of a sharded function. Operators of jax.numpy bring
their operands to the union of their axes; a custom call must do it itself.
"""

from collections.abc import Sequence

import jax
from jax import Array
from jax.sharding import PartitionSpec


def _varying(x: Array) -> frozenset:
    kind = jax.typeof(x) if hasattr(jax, "typeof") else None  # older versions do not track axes
    if hasattr(kind, "manual_axis_type"):
        return kind.manual_axis_type.varying
    return getattr(kind, "vma", None) or frozenset()  # the name in older versions


def _vary(x: Array, axes: frozenset) -> Array:
    if not axes:
        return x
    if hasattr(jax.lax, "pcast"):
        return jax.lax.pcast(x, tuple(sorted(axes)), to="varying")
    return jax.lax.pvary(x, tuple(sorted(axes)))  # the name in older versions


def _gathered(x: Array) -> Array:
    """The whole array on every device, where its type says how it is sharded (a mesh of explicit
    axes). Its gradient is sharded as it was.
    """
    kind = jax.typeof(x) if hasattr(jax, "typeof") else None
    sharding = getattr(kind, "sharding", None)
    if sharding is None or all(axes is None for axes in sharding.spec):
        return x
    return jax.sharding.reshard(x, jax.sharding.NamedSharding(sharding.mesh, PartitionSpec()))


def same_axes(arrays: Sequence[Array]) -> list[Array]:
    """The arrays as a custom call needs them: all with the union of their axes, and gathered where
    their types say that they are sharded. The gradient of an array is summed over the axes that are
    added. Call it outside of a custom derivative.
    """
    arrays = [_gathered(x) for x in arrays]
    union = frozenset().union(*(_varying(x) for x in arrays))
    return [_vary(x, union - _varying(x)) for x in arrays]


def results_like(
    operands: Sequence[Array], results: Sequence[jax.ShapeDtypeStruct]
) -> list[jax.ShapeDtypeStruct]:
    """The results with the axes of the operands, which are the same for all operands."""
    axes = _varying(operands[0])
    if not axes:
        return list(results)
    kind = jax.typeof(operands[0])
    if hasattr(kind, "manual_axis_type"):
        carried = {
            "manual_axis_type": type(kind.manual_axis_type)(varying=axes),
            "sharding": jax.sharding.NamedSharding(kind.sharding.mesh, PartitionSpec()),
        }
    else:
        carried = {"vma": axes}
    return [jax.ShapeDtypeStruct(one.shape, one.dtype, **carried) for one in results]
