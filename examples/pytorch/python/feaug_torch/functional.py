"""feaug's operators as functions of tensors."""

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
from ._losses import (
    barlow_twins,
    hypersphere,
    info_nce,
    negative_cosine,
    nt_xent,
    sigmoid,
    supervised_contrastive,
    symmetric_info_nce,
    vicreg,
)
from ._queue import Neighbours, enqueue, momentum_update, nearest

__all__ = [
    "Neighbours",
    "barlow_twins",
    "enqueue",
    "exchange_moments",
    "extrapolate",
    "gaussian_noise",
    "hypersphere",
    "info_nce",
    "interpolate",
    "l2_normalize",
    "mask",
    "momentum_update",
    "nearest",
    "negative_cosine",
    "nt_xent",
    "sigmoid",
    "slerp",
    "supervised_contrastive",
    "symmetric_info_nce",
    "uniform_noise",
    "vicreg",
]
