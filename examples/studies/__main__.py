"""scripts/results calls this; see there."""

from __future__ import annotations

import argparse
import sys

import sweeps
from study import BUILD, Study, ended

NAMES = [*(one.name for one in sweeps.STUDIES), "frozen", "text", "transfer"]


def study_named(name: str) -> Study:
    for one in sweeps.STUDIES:
        if one.name == name:
            return one
    # These need PyTorch, and feaug_torch, which `scripts/results --again` has compiled.
    sys.path.append(str(BUILD / "python"))
    if name == "frozen":
        from frozen import STUDY
    elif name == "text":
        from text import STUDY
    else:
        from transfer import STUDY
    return STUDY


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/results", allow_abbrev=False)
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=f"all by default: {', '.join(NAMES)}")
    parser.add_argument("--missing", action="store_true", help="first make the runs that docs/results does not have")
    parser.add_argument("--again", action="store_true", help="first make all runs: hours. An interrupted call goes on when it is repeated")
    parser.add_argument("--part", type=int, metavar="SEED", help=argparse.SUPPRESS)  # one seed of one study, in a process of its own
    chosen = parser.parse_args()
    if unknown := set(chosen.studies) - set(NAMES):
        parser.error(f"STUDY: got {', '.join(sorted(unknown))}, wanted some of {', '.join(NAMES)}")
    names = chosen.studies or NAMES
    if chosen.part is not None:
        study_named(names[0]).make_seed(chosen.part)
        return
    if chosen.missing or chosen.again:
        for name in names:
            study_named(name).make(chosen.again)
    import page
    import plots

    page.write(names)
    plots.write(names)
    for name in names:
        print(f"{name}: {len(ended(name))} runs")


main()
