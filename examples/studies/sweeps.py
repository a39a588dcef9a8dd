"""Studies with train_fashion_mnist on Fashion-MNIST. Settings are compared on the validation split, and only winners on the test set."""

from __future__ import annotations

import statistics

from study import Options, Study, ended, matches

METHODS = ["nnclr", "byol", "simclr"]
STRENGTHS = ["none", "weak", "mild", "symmetric", "asymmetric"]
AUGMENTATIONS = ["none", "neighbour", "mask", "interpolate"]
SEEDS = 10  # of the study line_2048
NEIGHBOURS = ["neighbour", "random_neighbour", "mean_neighbour", "soft_neighbour", "pseudo_neighbour", "mutual_neighbour"]


def sweep(size: int, epochs: int, evaluation: str = "validation", **options: list) -> Options:
    return {"train-size": [size], "epochs": [epochs], "evaluation": [evaluation],
            **{name.replace("_", "-"): values for name, values in options.items()}}


def line(size: int, epochs: int, methods: list[str], strengths: list[str], augmentations: list[str], seeds: int) -> Study:
    """Feature augmentations at every strength of the data augmentation."""
    return Study(f"line_{size}", list(range(1, seeds + 1)),
                 [sweep(size, epochs, method=methods, data_augmentation=strengths, augmentation=augmentations)])


def identical(**options: list) -> Options:
    return sweep(2048, 10, method=["nnclr", "byol"], data_augmentation=["none"], **options)


def both(**options: list) -> Options:
    return sweep(2048, 10, data_augmentation=["none", "symmetric"], **options)


def winners() -> list[Options]:
    """For each method and strength the feature augmentation with the highest mean at 2048 images, if it is above that of `none`.

    None before all runs at 2048 images have ended.
    """
    runs = ended("line_2048").values()
    if len(runs) < len(METHODS) * len(STRENGTHS) * len(AUGMENTATIONS) * SEEDS:
        return []

    def mean(method: str, strength: str, augmentation: str) -> float:
        wanted = {"method": method, "data-augmentation": strength, "augmentation": augmentation}
        found = [run["linear_accuracy_after"] for run in runs if matches(run["settings"], wanted)]
        return statistics.fmean(found)

    chosen = []
    for method in METHODS:
        for strength in STRENGTHS:
            best = max(AUGMENTATIONS, key=lambda one: mean(method, strength, one))
            if best != "none":
                chosen.append(sweep(2048, 10, "test", method=[method], data_augmentation=[strength], augmentation=["none", best]))
    return chosen


STUDIES = [
    line(2048, 10, METHODS, STRENGTHS, AUGMENTATIONS, SEEDS),
    Study("confirmation", list(range(11, 21)), winners()),
    line(500, 10, METHODS, STRENGTHS, ["none", "neighbour"], 10),
    line(10000, 5, METHODS, ["none", "weak", "symmetric"], ["none", "neighbour"], 5),
    line(50000, 3, ["nnclr", "byol"], ["none", "symmetric"], ["none", "neighbour"], 3),
    # What kind of neighbour, how many, from when on: without data augmentation, where a neighbour changes most.
    Study("neighbours", [1, 2, 3, 4, 5], [
        identical(augmentation=["none", *NEIGHBOURS]),
        identical(augmentation=["random_neighbour"], samples=[4]),
        identical(augmentation=["neighbour"], similarity_floor=[0.9]),
        identical(augmentation=["neighbour"], neighbour_from_epoch=[2]),
        identical(augmentation=["covariance_noise"], covariance_scale=[0.3, 1.0]),
    ]),
    # What arXiv 2410.12396 says of architectures, stop-gradient and samples, without and with data augmentation.
    Study("claims", [1, 2, 3, 4, 5], [
        both(method=["nnclr"], augmentation=["none", "neighbour"],
             architecture=["basic", "pre_predictor", "post_predictor", "parallel_predictor"]),
        both(method=["byol"], augmentation=["none", "neighbour"], architecture=["pre_predictor", "post_predictor", "parallel_predictor"]),
        both(method=["nnclr", "simsiam"], augmentation=["none", "neighbour"], stop_gradient=["on", "off"]),
        both(method=["nnclr", "byol"], augmentation=["mask"], samples=[1]),
        both(method=["nnclr", "byol"], augmentation=["mask"], samples=[4], sample_reduction=["mean", "sum"]),
    ]),
]
