"""scripts/results calls this; see there."""

from __future__ import annotations

import argparse
import sys

import study as files
import sweeps

NAMES = [*(one.name for one in sweeps.STUDIES), "frozen", "text", "transfer"]


def study_named(name: str) -> files.Study:
    for one in sweeps.STUDIES:
        if one.name == name:
            return one
    # These need PyTorch, and feaug_torch, which `scripts/results --again` has compiled.
    sys.path.append(str(files.BUILD / "python"))
    if name == "frozen":
        from frozen import STUDY
    elif name == "text":
        from text import STUDY
    else:
        from transfer import STUDY
    return STUDY


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/results")
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=f"all by default: {', '.join(NAMES)}")
    parser.add_argument("--missing", action="store_true", help="first make the runs that docs/results does not have")
    parser.add_argument("--again", action="store_true", help="first make all runs: hours. An interrupted call goes on when it is repeated")
    parser.add_argument("--part", type=int, metavar="SEED", help=argparse.SUPPRESS)  # one seed of one study, in a process of its own
    chosen = parser.parse_args()
    if unknown := set(chosen.studies) - set(NAMES):
        parser.error(f"no study is named {', '.join(sorted(unknown))}")
    names = chosen.studies or NAMES
    if chosen.part is not None:
        study_named(names[0]).make_seed(chosen.part, files.BUILD / f"{names[0]}_{chosen.part}.jsonl")
        return
    if chosen.missing or chosen.again:
        for name in names:
            study_named(name).make(chosen.again)
    import page
    import plots

    page.write(names)
    plots.write(names)
    for name in names:
        print(f"{name}: {len(files.read(files.ENDED / f'{name}.jsonl'))} runs")


main()
