"""feaug's operators as functions of tensors."""

from . import _losses
from ._augmentations import (
    exchange_moments,
    extrapolate,
    gaussian_noise,
    interpolate,
    l2_normalize,
    mask,
    slerp,
    uniform_noise,
)
from ._losses import *  # noqa: F403
from ._queue import Neighbours, enqueue, momentum_update, nearest

__all__ = [
    "Neighbours",
    "enqueue",
    "exchange_moments",
    "extrapolate",
    "gaussian_noise",
    "interpolate",
    "l2_normalize",
    "mask",
    "momentum_update",
    "nearest",
    "slerp",
    "uniform_noise",
]
__all__ += _losses.__all__
