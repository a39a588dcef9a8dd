"""The plots of docs/results.md, one of which README shows, from the runs in docs/results."""

from __future__ import annotations

import statistics

import matplotlib
import matplotlib.pyplot as plt

from comparison import Difference, difference
from page import chosen
from study import ROOT, Runs, ended, matches

PICTURES = ROOT / "docs" / "pictures"
STRENGTHS = ["none", "weak", "mild", "symmetric"]
COLOURS = {"neighbour": "#c2410c", "mask": "#1d4ed8", "interpolate": "#15803d", "none": "#525252"}
METHODS = ["nnclr", "byol", "simclr"]

matplotlib.use("svg")
# Equal runs give equal files: no random ids, no date. White behind the plot, since the page that shows it may be dark.
matplotlib.rcParams.update({"font.size": 9, "svg.hashsalt": "feaug", "axes.spines.top": False, "axes.spines.right": False,
                            "figure.facecolor": "white", "figure.constrained_layout.use": True})


def save(figure: plt.Figure, name: str) -> None:
    figure.savefig(PICTURES / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)


def panels(height: float) -> tuple[plt.Figure, list]:
    figure, axes = plt.subplots(1, len(METHODS), figsize=(2.9 * len(METHODS), height))
    for axis, method in zip(axes, METHODS):
        axis.set_title(method)
    return figure, list(zip(axes, METHODS))


def gain(runs: Runs, method: str, strength: str, augmentation: str) -> Difference:
    wanted = {"method": method, "data-augmentation": strength}
    return difference(chosen(runs, {**wanted, "augmentation": augmentation}), chosen(runs, {**wanted, "augmentation": "none"}))


def line(runs: Runs) -> None:
    """The gain of each augmentation over none, by strength of the data augmentation, with 95 % intervals."""
    figure, drawn = panels(2.7)
    for axis, method in drawn:
        axis.axhline(0, color="#a3a3a3", linewidth=0.8)
        for number, augmentation in enumerate(one for one in COLOURS if one != "none"):
            gains = [gain(runs, method, strength, augmentation) for strength in STRENGTHS]
            axis.errorbar([at + 0.06 * (number - 1) for at in range(len(STRENGTHS))], [one.mean for one in gains], [one.half for one in gains],
                          color=COLOURS[augmentation], marker="o", markersize=4, capsize=2, linewidth=1.2, label=augmentation)
        axis.set_xticks(range(len(STRENGTHS)), STRENGTHS)
    drawn[0][0].set_ylabel("gain in accuracy, points")
    figure.supxlabel("data augmentation", fontsize=9)
    drawn[-1][0].legend(frameon=False, title="feature augmentation")
    save(figure, "results_line_2048")


def neighbour_quality(runs: Runs) -> None:
    """The share of neighbours of the query's class, by epoch, in runs with and without neighbours as augmentation."""
    figure, drawn = panels(2.9)
    for axis, method in drawn:
        for strength, style in (("none", "-"), ("symmetric", "--")):
            for augmentation in ("none", "neighbour"):
                wanted = {"method": method, "data-augmentation": strength, "augmentation": augmentation}
                curves = [run["neighbour_accuracy"] for run in runs.values() if matches(run["settings"], wanted)]
                if not curves:
                    continue
                axis.plot(range(1, len(curves[0]) + 1), [100 * statistics.fmean(values) for values in zip(*curves)], style,
                          color=COLOURS[augmentation], label=f"{augmentation}; {strength}")
        axis.set_xlabel("epoch")
    drawn[0][0].set_ylabel("neighbours of the same class, %")
    figure.legend(*drawn[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=8,
                  title="augmentation of features; of data", title_fontsize=8)
    save(figure, "results_neighbours")


def write(names: list[str]) -> None:
    """The plots of these studies, as far as there are runs."""
    runs = ended("line_2048")
    if "line_2048" in names and runs:
        line(runs)
        neighbour_quality(runs)
