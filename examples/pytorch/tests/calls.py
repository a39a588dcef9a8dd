"""One call of every function, for tests that apply to all of them."""

import feaug_torch as ft
import torch


def functions(rows):
    """Every function of two matrices (9 × 6), by name; rows(n, d) makes the constants."""
    labels, partner, support = torch.arange(9) % 3, rows(9, 6), rows(20, 6)
    losses = {
        "info_nce": lambda x, y: ft.info_nce(x, y),
        "info_nce recomputed": lambda x, y: ft.info_nce(x, y, recompute=True),
        "info_nce negatives": lambda x, y: ft.info_nce(x, y, negatives=support),
        "info_nce temperature": lambda x, y: ft.info_nce(x, y, temperature=y.norm() / 9),
        "symmetric_info_nce": lambda x, y: ft.symmetric_info_nce(x, y),
        "nt_xent": lambda x, y: ft.nt_xent(x, y),
        "supervised_contrastive": lambda x, y: ft.supervised_contrastive(x * y, labels),
        "sigmoid": lambda x, y: ft.sigmoid(x, y),
        "negative_cosine": lambda x, y: ft.negative_cosine(x, y),
        "barlow_twins": lambda x, y: ft.barlow_twins(x, y),
        "vicreg": lambda x, y: ft.vicreg(x, y),
        "hypersphere": lambda x, y: ft.hypersphere(x, y),
    }
    draw = {"seed": 3, "step": torch.tensor(5)}
    augmentations = {
        "mask": lambda x, y: ft.mask(x, **draw),
        "gaussian_noise": lambda x, y: ft.gaussian_noise(x, **draw),
        "uniform_noise": lambda x, y: ft.uniform_noise(x, **draw),
        "interpolate": lambda x, y: ft.interpolate(x, **draw),
        "interpolate partner": lambda x, y: ft.interpolate(x, partner=y, **draw),
        "extrapolate": lambda x, y: ft.extrapolate(x, **draw),
        "slerp": lambda x, y: ft.slerp(x, **draw),
        "slerp partner": lambda x, y: ft.slerp(x, partner=y, **draw),
        "exchange_moments": lambda x, y: ft.exchange_moments(x, **draw),
        "l2_normalize": lambda x, y: ft.l2_normalize(x),
        "nearest": lambda x, y: x + ft.nearest(support, y, k=2).values.sum(1),
    }
    return {**losses, **augmentations}
