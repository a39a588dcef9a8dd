"""feaug's operators in PyTorch: contrastive losses, a support queue, feature augmentations."""

from . import distributed, functional
from ._augmentation_modules import FeatureAugmentation
from ._library import __version__, devices
from ._loss_modules import (
    BarlowTwinsLoss,
    DCLLoss,
    DCLWLoss,
    HypersphereLoss,
    InfoNCELoss,
    NegativeCosineSimilarity,
    NTXentLoss,
    SupConLoss,
    VICRegLoss,
)
from ._losses import *  # noqa: F403: functional's, where mypy finds them
from ._queue_modules import NNMemoryBankModule, SupportQueue
from .functional import *  # noqa: F403

__all__ = [
    "BarlowTwinsLoss",
    "DCLLoss",
    "DCLWLoss",
    "FeatureAugmentation",
    "HypersphereLoss",
    "InfoNCELoss",
    "NNMemoryBankModule",
    "NTXentLoss",
    "NegativeCosineSimilarity",
    "SupConLoss",
    "SupportQueue",
    "VICRegLoss",
    "__version__",
    "devices",
    "distributed",
    "functional",
]
__all__ += functional.__all__
