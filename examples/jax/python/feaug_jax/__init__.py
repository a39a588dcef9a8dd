"""feaug's operators for JAX: contrastive losses, a feature queue (memory bank), augmentations."""

from ._augmentations import Beta, Uniform, gaussian_noise, interpolate, mask
from ._library import platforms, set_threads
from ._losses import info_nce, negative_cosine, nt_xent
from ._queue import Neighbours, SupportQueue, enqueue, nearest, support_queue

__all__ = [
    "Beta",
    "Neighbours",
    "SupportQueue",
    "Uniform",
    "enqueue",
    "gaussian_noise",
    "info_nce",
    "interpolate",
    "mask",
    "nearest",
    "negative_cosine",
    "nt_xent",
    "platforms",
    "set_threads",
    "support_queue",
]
