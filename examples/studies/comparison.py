"""Paired comparisons of runs with equal seeds: mean difference, 95 % interval, Holm's correction for several comparisons."""

from __future__ import annotations

import dataclasses
import math
import statistics

from scipy import stats


@dataclasses.dataclass
class Difference:
    """Of two settings, over the seeds that both have; in percentage points."""

    mean: float
    half: float  # half of the 95 % interval (Student's t); NaN for fewer than two seeds
    p: float  # two-sided paired t-test
    seeds: int
    significant: bool = False  # at 5 % after Holm's correction, see correct


def difference(values: dict[int, float], baseline: dict[int, float]) -> Difference:
    """`values` and `baseline` are accuracies by seed."""
    common = sorted(values.keys() & baseline.keys())
    differences = [100 * (values[seed] - baseline[seed]) for seed in common]
    if not differences:
        return Difference(math.nan, math.nan, math.nan, 0)
    mean = statistics.fmean(differences)
    if len(differences) < 2:
        return Difference(mean, math.nan, math.nan, 1)
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    freedom = len(differences) - 1
    if error == 0:
        return Difference(mean, 0.0, 0.0 if mean else 1.0, len(differences))
    return Difference(mean, float(stats.t.ppf(0.975, freedom)) * error, float(2 * stats.t.sf(abs(mean) / error, freedom)), len(differences))


def correct(differences: list[Difference]) -> None:
    """Marks those that are significant at 5 % for all of them together (Holm 1979)."""
    tested = sorted((one for one in differences if not math.isnan(one.p)), key=lambda one: one.p)
    for rank, one in enumerate(tested):
        if one.p > 0.05 / (len(tested) - rank):
            return
        one.significant = True
