"""The tables of docs/results.md, from the runs in docs/results."""

from __future__ import annotations

import dataclasses
import math
import statistics

from comparison import Difference, correct, difference
from study import ROOT, Runs, ended, matches

PAGE = ROOT / "docs" / "results.md"
ORDER = ["raw", "nnclr", "byol", "simclr", "simsiam",
         "none", "neighbour", "random_neighbour", "mean_neighbour", "soft_neighbour", "pseudo_neighbour", "mutual_neighbour", "covariance_noise",
         "mask", "noise", "interpolate", "weak", "mild", "symmetric", "asymmetric", "basic", "pre_predictor", "post_predictor",
         "parallel_predictor", "on", "off", "mean", "sum", "images, untrained", "images, trained", "sentences"]


@dataclasses.dataclass(frozen=True)
class Table:
    """One row for each combination of values of `rows`, one column for each value of `columns`.

    A cell is the gain over the run with the values of `against`, and for that run itself its accuracy.
    """

    name: str  # of the table's place in docs/results.md
    study: str
    rows: list[str]
    columns: str
    against: dict = dataclasses.field(default_factory=lambda: {"augmentation": "none"})
    where: dict = dataclasses.field(default_factory=dict)  # only runs with these values
    measure: str = "linear_accuracy_after"


NEIGHBOUR_OPTIONS = ["augmentation", "samples", "similarity-floor", "neighbour-from-epoch", "covariance-scale"]
BY_STRENGTH = (["method", "augmentation"], "data-augmentation")
TRANSFER = (["epochs", "method", "augmentation"], "data-augmentation")  # 0 epochs: the untrained encoder
PLAIN = {"samples": 1, "similarity-floor": -1.0, "neighbour-from-epoch": 0, "covariance-scale": 1.0}

TABLES = [
    Table("line_2048", "line_2048", *BY_STRENGTH),
    Table("line_2048_knn", "line_2048", *BY_STRENGTH, measure="knn_accuracy_after"),
    Table("confirmation", "confirmation", *BY_STRENGTH),
    Table("line_500", "line_500", *BY_STRENGTH),
    Table("line_10000", "line_10000", *BY_STRENGTH),
    Table("line_50000", "line_50000", *BY_STRENGTH),
    Table("neighbours", "neighbours", NEIGHBOUR_OPTIONS, "method",
          {"augmentation": "none", **PLAIN}),
    Table("architectures", "claims", ["method", "architecture", "augmentation"], "data-augmentation",
          where={"method": ["nnclr", "byol"], "augmentation": ["none", "neighbour"], "stop-gradient": "on"}),
    Table("stop_gradient", "claims", ["method", "augmentation", "stop-gradient"], "data-augmentation", {"stop-gradient": "on"},
          where={"method": ["nnclr", "simsiam"], "augmentation": ["none", "neighbour"], "architecture": "parallel_predictor"}),
    Table("samples", "claims", ["method", "samples", "sample-reduction"], "data-augmentation", {"samples": 1, "sample-reduction": "mean"},
          where={"augmentation": "mask"}),
    Table("frozen", "frozen", ["method", "augmentation"], "embedding"),
    Table("text", "text", ["method", "augmentation"], "word-dropout"),
    Table("other_classes", "transfer", *TRANSFER, where={"task": "other classes"}),
    Table("five_shot", "transfer", *TRANSFER, where={"task": "other classes"}, measure="five_shot_accuracy_after"),
    Table("boxes", "transfer", *TRANSFER, where={"task": "boxes"}, measure="box_overlap_after"),
]


def chosen(runs: Runs, wanted: dict, measure: str = "linear_accuracy_after") -> dict[int, float]:
    """The results by seed of the runs with these values, which must name one run for each seed."""
    found = {}
    for run in runs.values():
        if matches(run["settings"], wanted):
            seed = run["settings"]["seed"]
            if seed in found:
                raise ValueError(f"chosen: wanted: got two runs of seed {seed} with {wanted}, wanted one")
            found[seed] = run[measure]
    return found


def rank(value: object) -> tuple:
    return (0, ORDER.index(value)) if value in ORDER else (1, value)


def accuracy(values: dict[int, float]) -> str:
    """The mean and its standard error, in per cent. No error of results that do not depend on the seed."""
    if not values:
        return ""
    mean = 100 * statistics.fmean(values.values())
    if len(set(values.values())) < 2:
        return f"{mean:.1f}"
    return f"{mean:.1f} ± {100 * statistics.stdev(values.values()) / math.sqrt(len(values)):.1f}"


def text(one: Difference) -> str:
    """The mean and half of its 95 % interval, in points; in bold if it is significant."""
    if one.seeds == 0:
        return ""
    mean = round(one.mean, 2)
    words = f"{'+' if mean >= 0 else '−'}{abs(mean):.2f}"
    if not math.isnan(one.half):
        words += f" ± {one.half:.2f}"
    return f"**{words}**" if one.significant else words


def column_heading(name: str, value: object) -> str:
    if name == "data-augmentation":
        return f"data: {value}"
    return f"{name} {value}" if isinstance(value, float) else str(value)


def markdown(table: Table, runs: Runs) -> str:
    settings = [run["settings"] for run in runs.values() if matches(run["settings"], table.where)]
    columns = sorted({one[table.columns] for one in settings}, key=rank)
    rows = sorted({tuple(one.get(name) for name in table.rows) for one in settings}, key=lambda row: [rank(value) for value in row])
    compared: list[Difference] = []
    lines = []
    for row in rows:
        cells: list[str | Difference] = []
        values = dict(zip(table.rows, row))
        for column in columns:
            wanted = {**table.where, table.columns: column, **values}
            found = chosen(runs, wanted, table.measure)
            if matches(values, {name: value for name, value in table.against.items() if name in values}):
                cells.append(accuracy(found))
                continue
            cells.append(difference(found, chosen(runs, {**wanted, **table.against}, table.measure)))
            compared.append(cells[-1])
        lines.append((row, cells))
    correct(compared)
    varied = [at for at in range(len(table.rows)) if len({row[at] for row in rows}) > 1]
    heading = [table.rows[at].replace("augmentation", "feature augmentation") for at in varied] + [column_heading(table.columns, column) for column in columns]
    body = [[str(row[at]) for at in varied] + [cell if isinstance(cell, str) else text(cell) for cell in cells] for row, cells in lines]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in [heading, ["---"] * len(heading), *body])


def put(name: str, block: str) -> None:
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    whole = PAGE.read_text()
    if begin not in whole or end not in whole:
        raise SystemExit(f"results: {PAGE} has no place for {name}")
    head, rest = whole.split(begin)
    tail = rest.split(end)[1]
    PAGE.write_text(head + begin + "\n" + block + "\n" + end + tail)


def write(names: list[str]) -> None:
    """The tables of these studies."""
    for table in TABLES:
        if table.study in names:
            runs = ended(table.study)
            put(table.name, markdown(table, runs) if runs else f"Not measured yet: `scripts/results --missing {table.study}` makes these runs.\n")
