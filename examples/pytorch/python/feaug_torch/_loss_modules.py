"""The losses as modules, with lightly's names, arguments and conventions."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from . import _losses as losses
from ._checkpoint import refuse_checkpoint
from ._queue_modules import SupportQueue, bank_size, random_queue
from .distributed import all_gather, all_gather_for_same_loss, mean_loss, rank


def _check_temperature(loss: str, temperature: float | Tensor) -> float | Tensor:
    if not isinstance(temperature, Tensor) and not temperature > 0:
        raise ValueError(f"{loss}: temperature: got {temperature}, wanted a number above 0")
    return temperature


class _Loss(nn.Module):
    def __init__(self, gather_distributed: bool):
        super().__init__()
        if gather_distributed and not dist.is_available():
            raise ValueError(
                f"{type(self).__name__}: gather_distributed: got True, wanted False, since this "
                "PyTorch has no torch.distributed"
            )
        self.gather_distributed = gather_distributed

    def _all(self, *views: Tensor) -> tuple[Tensor, ...]:
        """The views with the rows of all processes if gather_distributed, else unchanged."""
        if not self.gather_distributed:
            return views
        return tuple(all_gather_for_same_loss(view) for view in views)

    def _mean(self, loss: Tensor) -> Tensor:
        """The mean of the losses of all processes if gather_distributed, else unchanged."""
        return mean_loss(loss) if self.gather_distributed else loss


class NTXentLoss(_Loss):
    """SimCLR's loss. With a memory bank (size, dim), MoCo's loss: the positive of a row of out0 is
    its row of out1, the negatives are the rows of the bank. Then out1 is enqueued if out0 requires
    a gradient.

    The bank is a SupportQueue that starts with random rows; it is in the state_dict.
    """

    def __init__(
        self,
        temperature: float | Tensor = 0.5,
        memory_bank_size: int | Sequence[int] = 0,
        gather_distributed: bool = False,
    ):
        super().__init__(gather_distributed)
        self.temperature = _check_temperature("NTXentLoss", temperature)
        size = bank_size("NTXentLoss", memory_bank_size)
        self.memory_bank: SupportQueue | None = None
        if size is not None:
            self.memory_bank = random_queue(*size, gather_distributed=gather_distributed)

    def forward(self, out0: Tensor, out1: Tensor) -> Tensor:
        bank = self.memory_bank
        if bank is None:
            return losses.nt_xent(*self._all(out0, out1), temperature=self.temperature)
        enqueues = out0.requires_grad
        if enqueues:
            refuse_checkpoint("NTXentLoss: its memory bank")
            bank.share_initial_rows()
        # The bank's rows change before the backward pass. A gradient that is made now does not need
        # them; in half it would underflow, so it is made later, from a copy.
        is_half = torch.promote_types(out0.dtype, bank.rows.dtype) == torch.float16
        loss = losses.info_nce(
            out0,
            out1,
            negatives=bank.rows.clone() if enqueues and is_half else bank.rows,
            temperature=self.temperature,
            in_batch_negatives=False,
            recompute=is_half,
        )
        if enqueues:
            bank._enqueue(out1)
        return self._mean(loss)


class InfoNCELoss(_Loss):
    """InfoNCE: classifies the own key of every query among all keys. For NNCLR, queries are the
    neighbours (constants) and keys the predictions. symmetric: CLIP's loss.
    """

    def __init__(
        self,
        temperature: float | Tensor = 0.1,
        symmetric: bool = False,
        gather_distributed: bool = False,
    ):
        super().__init__(gather_distributed)
        self.temperature = _check_temperature("InfoNCELoss", temperature)
        self.symmetric = symmetric

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        if not self.gather_distributed:
            loss = losses.symmetric_info_nce if self.symmetric else losses.info_nce
            return loss(queries, keys, temperature=self.temperature)
        loss = self._against_all(queries, keys)
        if self.symmetric:
            loss = 0.5 * (loss + self._against_all(keys, queries))
        return self._mean(loss)

    def _against_all(self, queries: Tensor, keys: Tensor) -> Tensor:
        return losses.info_nce(
            queries,
            all_gather(keys),
            temperature=self.temperature,
            positive_offset=rank() * queries.shape[0],
        )


class NegativeCosineSimilarity(nn.Module):
    """SimSiam's loss: the mean of −cos between every row and its target."""

    def __init__(self, dim: int = 1, eps: float = 1e-8):
        super().__init__()
        if dim not in (1, -1):
            raise ValueError(
                f"NegativeCosineSimilarity: dim: got {dim}, wanted 1, the axis of features"
            )
        if not 0 < eps <= 1e-8:
            raise ValueError(
                f"NegativeCosineSimilarity: eps: got {eps}, wanted one up to 1e-8: only rows of "
                "norm 1e-12 or less have no direction here"
            )

    def forward(self, x0: Tensor, x1: Tensor) -> Tensor:
        return losses.negative_cosine(x0, x1)


class DCLLoss(_Loss):
    """Decoupled contrastive learning: NT-Xent without the positive in the denominator."""

    def __init__(
        self,
        temperature: float | Tensor = 0.1,
        weight_fn: None = None,
        gather_distributed: bool = False,
    ):
        super().__init__(gather_distributed)
        if weight_fn is not None:
            raise ValueError(
                f"DCLLoss: weight_fn: got {weight_fn!r}, wanted None; von Mises-Fisher weights are "
                "DCLWLoss's"
            )
        self.temperature = _check_temperature(type(self).__name__, temperature)
        self.sigma = 0.0

    def forward(self, out0: Tensor, out1: Tensor) -> Tensor:
        return losses.nt_xent(
            *self._all(out0, out1),
            temperature=self.temperature,
            decoupled=True,
            positive_weighting=self.sigma,
        )


class DCLWLoss(DCLLoss):
    """DCL with von Mises-Fisher weights: pairs that already agree get a smaller weight."""

    def __init__(
        self,
        temperature: float | Tensor = 0.1,
        sigma: float = 0.5,
        gather_distributed: bool = False,
    ):
        super().__init__(temperature, gather_distributed=gather_distributed)
        if not sigma > 0:
            raise ValueError(f"DCLWLoss: sigma: got {sigma}, wanted a number above 0")
        self.sigma = sigma


class BarlowTwinsLoss(_Loss):
    """Σ_j (1 − C_jj)² + lambda_param · Σ_{j≠k} C_jk². gather_distributed: C, and the mean and
    variance for the standardisation, are those of the rows of all processes.
    """

    def __init__(self, lambda_param: float = 5e-3, gather_distributed: bool = False):
        super().__init__(gather_distributed)
        self.lambda_param = lambda_param

    def forward(self, z_a: Tensor, z_b: Tensor) -> Tensor:
        return losses.barlow_twins(*self._all(z_a, z_b), lambda_param=self.lambda_param)


class VICRegLoss(_Loss):
    """Invariance (lambda), variance (mu; the mean over both views), covariance (nu)."""

    def __init__(
        self,
        lambda_param: float = 25.0,
        mu_param: float = 25.0,
        nu_param: float = 1.0,
        gather_distributed: bool = False,
        eps: float = 1e-4,
    ):
        super().__init__(gather_distributed)
        self.lambda_param = lambda_param
        self.mu_param = mu_param
        self.nu_param = nu_param
        self.eps = eps

    def forward(self, z_a: Tensor, z_b: Tensor) -> Tensor:
        return losses.vicreg(
            *self._all(z_a, z_b),
            lambda_param=self.lambda_param,
            mu_param=self.mu_param,
            nu_param=self.nu_param,
            eps=self.eps,
        )


class HypersphereLoss(_Loss):
    """Alignment of the views plus lam times the mean of their uniformities."""

    def __init__(
        self,
        t: float = 1.0,
        lam: float = 1.0,
        alpha: float = 2.0,
        gather_distributed: bool = False,
    ):
        super().__init__(gather_distributed)
        self.t = t
        self.lam = lam
        self.alpha = alpha

    def forward(self, z_a: Tensor, z_b: Tensor) -> Tensor:
        return losses.hypersphere(*self._all(z_a, z_b), t=self.t, lam=self.lam, alpha=self.alpha)


class SupConLoss(_Loss):
    """SupCon's loss with the arguments of its authors' code: features N × D or N × views × D, and
    N labels. Without labels every sample is its own class. The loss is multiplied by
    temperature / base_temperature.
    """

    def __init__(
        self,
        temperature: float = 0.07,
        contrast_mode: str = "all",
        base_temperature: float = 0.07,
        gather_distributed: bool = False,
    ):
        super().__init__(gather_distributed)
        if contrast_mode != "all":
            raise ValueError(f'SupConLoss: contrast_mode: got {contrast_mode!r}, wanted "all"')
        self.temperature = _check_temperature("SupConLoss", temperature)
        self.base_temperature = _check_temperature("SupConLoss", base_temperature)

    def forward(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        if labels is None:
            if features.dim() != 3:
                raise ValueError(
                    "SupConLoss: labels: got none with features of shape "
                    f"{tuple(features.shape)}, wanted labels, or features N × views × D"
                )
            first = rank() * features.shape[0] if self.gather_distributed else 0
            labels = first + torch.arange(features.shape[0], device=features.device)
        if features.dim() == 3:
            labels = labels.repeat_interleave(features.shape[1])
            features = features.flatten(0, 1)
        (rows,) = self._all(features)
        (all_labels,) = self._all(labels)
        loss = losses.supervised_contrastive(rows, all_labels, temperature=self.temperature)
        return loss * (self.temperature / self.base_temperature)
