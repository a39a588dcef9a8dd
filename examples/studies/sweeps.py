"""Studies with train_fashion_mnist on Fashion-MNIST. Settings are compared on the validation split, and only winners on the test set."""

from __future__ import annotations

import statistics

from study import ENDED, Study, Sweep, read

METHODS = ["nnclr", "byol", "simclr"]
STRENGTHS = ["none", "weak", "mild", "symmetric", "asymmetric"]
AUGMENTATIONS = ["none", "neighbour", "mask", "interpolate"]
NEIGHBOURS = ["neighbour", "random_neighbour", "mean_neighbour", "soft_neighbour", "pseudo_neighbour", "mutual_neighbour"]

PLAIN = {"augmentation": "none", "samples": 1, "similarity-floor": -1.0, "neighbour-from-epoch": 0, "covariance-scale": 1.0}


def sweep(size: int, epochs: int, against: dict, heading: str = "", evaluation: str = "validation", **options: list) -> Sweep:
    return Sweep({"train-size": [size], "epochs": [epochs], "evaluation": [evaluation],
                  **{name.replace("_", "-"): values for name, values in options.items()}}, against, heading)


def line(size: int, epochs: int, methods: list[str], strengths: list[str], augmentations: list[str], seeds: int) -> Study:
    """Augmentations against `none`, by strength of the data augmentation."""
    return Study(f"line_{size}", list(range(1, seeds + 1)),
                 [sweep(size, epochs, PLAIN, method=methods, data_augmentation=strengths, augmentation=augmentations)])


def small(heading: str = "", against: dict = PLAIN, **options: list) -> Sweep:
    return sweep(2048, 10, against, heading, **options)


def identical(**options: list) -> Sweep:
    return small(method=["nnclr", "byol"], data_augmentation=["none"], **options)


def both(heading: str, against: dict, **options: list) -> Sweep:
    return small(heading, against, data_augmentation=["none", "symmetric"], **options)


def winners() -> list[Sweep]:
    """For each method and strength the feature augmentation with the highest mean at 2048 images, if it is above that of `none`."""
    runs = read(ENDED / "line_2048.jsonl").values()

    def mean(method: str, strength: str, augmentation: str) -> float:
        wanted = {"method": method, "data-augmentation": strength, "augmentation": augmentation}
        found = [run["linear_accuracy_after"] for run in runs if wanted.items() <= run["settings"].items()]
        return statistics.fmean(found) if found else 0.0

    chosen = []
    for method in METHODS:
        for strength in STRENGTHS:
            best = max(AUGMENTATIONS, key=lambda one: mean(method, strength, one))
            if best != "none":
                chosen.append(sweep(2048, 10, PLAIN, evaluation="test", method=[method], data_augmentation=[strength], augmentation=["none", best]))
    return chosen


STUDIES = [
    line(2048, 10, METHODS, STRENGTHS, AUGMENTATIONS, 10),
    Study("confirmation", list(range(11, 21)), winners()),
    line(500, 10, METHODS, STRENGTHS, ["none", "neighbour"], 10),
    line(10000, 5, METHODS, ["none", "weak", "symmetric"], ["none", "neighbour"], 5),
    line(50000, 3, ["nnclr", "byol"], ["none", "symmetric"], ["none", "neighbour"], 3),
    # What kind of neighbour, how many, from when on: with identical views, where a neighbour changes most.
    Study("neighbours", [1, 2, 3, 4, 5], [
        identical(augmentation=["none", *NEIGHBOURS]),
        identical(augmentation=["random_neighbour"], samples=[4]),
        identical(augmentation=["neighbour"], similarity_floor=[0.9]),
        identical(augmentation=["neighbour"], neighbour_from_epoch=[2]),
        identical(augmentation=["covariance_noise"], covariance_scale=[0.3, 1.0]),
    ]),
    # What arXiv 2410.12396 says of architectures, stop-gradient and samples, with identical and with usual views.
    Study("claims", [1, 2, 3, 4, 5], [
        both("Architectures", {"augmentation": "none"}, method=["nnclr"], augmentation=["none", "neighbour"],
             architecture=["basic", "pre_predictor", "post_predictor", "parallel_predictor"]),
        both("Architectures", {"augmentation": "none"}, method=["byol"], augmentation=["none", "neighbour"],
             architecture=["pre_predictor", "post_predictor", "parallel_predictor"]),
        both("Stop-gradient", {"stop-gradient": "on"}, method=["nnclr", "simsiam"], augmentation=["none", "neighbour"],
             stop_gradient=["on", "off"]),
        both("Samples", {"samples": 1, "sample-reduction": "mean"}, method=["nnclr", "byol"], augmentation=["mask"], samples=[1, 4],
             sample_reduction=["mean", "sum"]),
    ]),
]
