# Written by _losses.stub(); a test compares them.

from typing import Literal

from jax import Array

from jax.typing import ArrayLike

__all__ = ["info_nce", "nt_xent", "symmetric_info_nce", "sigmoid", "supervised_contrastive", "negative_cosine", "barlow_twins", "vicreg", "hypersphere"]

def info_nce(queries: ArrayLike, keys: ArrayLike, *, negatives: ArrayLike | None = None, temperature: float | ArrayLike = 0.1, positive_offset: int = 0, in_batch_negatives: bool = True, recompute: bool | None = None) -> Array:
    """InfoNCE: the mean of −log softmax of every query's own key among all keys and negatives.

    queries N × D, keys M × D, negatives K × D; the key of query i is key i + positive_offset.
    in_batch_negatives=False: only `negatives` are negatives (MoCo). Logits are cosines /
    temperature."""

def nt_xent(z0: ArrayLike, z1: ArrayLike, *, temperature: float | ArrayLike = 0.5, decoupled: bool = False, positive_weighting: float = 0.0, recompute: bool | None = None) -> Array:
    """NT-Xent, SimCLR's loss: classifies the other view of every row of two views (N × D) among the
    2N − 1 other rows. decoupled: DCL, and with positive_weighting (its σ) DCLW."""

def symmetric_info_nce(queries: ArrayLike, keys: ArrayLike, *, temperature: float | ArrayLike = 0.1, recompute: bool | None = None) -> Array:
    """½ (info_nce(q, k) + info_nce(k, q)): CLIP's loss."""

def sigmoid(z0: ArrayLike, z1: ArrayLike, *, scale: float | ArrayLike = 10.0, bias: float | ArrayLike = -10.0, recompute: bool | None = None) -> Array:
    """SigLIP's loss: binary classification of every pair of rows, with logits scale·cos + bias."""

def supervised_contrastive(features: ArrayLike, labels: ArrayLike, *, temperature: float | ArrayLike = 0.1, recompute: bool | None = None) -> Array:
    """SupCon's L_out: the positives of a row are all other rows with its label; the mean over rows
    that have a positive."""

def negative_cosine(predictions: ArrayLike, targets: ArrayLike, *, form: Literal["simsiam", "byol"] = "simsiam", recompute: bool | None = None) -> Array:
    """SimSiam's −cos or BYOL's 2 − 2·cos between every row and its target. The target is
    often a constant: detach it, or stop its gradient."""

def barlow_twins(z0: ArrayLike, z1: ArrayLike, *, lambda_param: float = 5e-3, eps: float = 1e-5, recompute: bool | None = None) -> Array:
    """Σ_j (1 − C_jj)² + lambda_param · Σ_{j≠k} C_jk², where C has the correlations between the
    features of the two views."""

def vicreg(z0: ArrayLike, z1: ArrayLike, *, lambda_param: float = 25.0, mu_param: float = 25.0, nu_param: float = 1.0, eps: float = 1e-4, recompute: bool | None = None) -> Array:
    """lambda·invariance + mu·½·(variance terms of both views) + nu·(their covariance terms)."""

def hypersphere(z0: ArrayLike, z1: ArrayLike, *, t: float = 1.0, lam: float = 1.0, alpha: float = 2.0, recompute: bool | None = None) -> Array:
    """mean ‖û0 − û1‖^alpha + lam·½·(sum of the uniformities of both views). The uniformity is
    log mean exp(−t·‖û_i − û_j‖²) over pairs of unit rows."""
