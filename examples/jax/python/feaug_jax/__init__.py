"""feaug's operators for JAX: contrastive losses, a feature queue (memory bank), augmentations."""

from ._augmentations import Beta, Uniform, gaussian_noise, interpolate, mask
from ._library import __version__, platforms, set_threads
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
from ._queue import Neighbours, SupportQueue, enqueue, nearest, support_queue

__all__ = [
    "Beta",
    "Neighbours",
    "SupportQueue",
    "Uniform",
    "__version__",
    "barlow_twins",
    "enqueue",
    "gaussian_noise",
    "hypersphere",
    "info_nce",
    "interpolate",
    "mask",
    "nearest",
    "negative_cosine",
    "nt_xent",
    "platforms",
    "set_threads",
    "sigmoid",
    "supervised_contrastive",
    "support_queue",
    "symmetric_info_nce",
    "vicreg",
]
