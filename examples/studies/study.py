"""A study: runs that are made once, kept in docs/results/NAME.jsonl, and turned into tables and plots."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENDED = ROOT / "docs" / "results"
BUILD = ROOT / "build" / "studies"  # unfinished parts, and data that several runs use
TRAINER = ROOT / "build" / "demo" / "examples" / "train_fashion_mnist" / "train_fashion_mnist"

Run = dict  # "settings", with "seed" among them, and results by name
Runs = dict[str, Run]  # by key
Options = dict[str, list]  # an option's name → its values


def key(settings: dict) -> str:
    return json.dumps(settings, sort_keys=True)


def read(path: pathlib.Path) -> Runs:
    """The runs of a file. A last line that an interrupted program did not finish is left out."""
    if not path.exists():
        return {}
    return {key(run["settings"]): run for run in map(json.loads, path.read_text().split("\n")[:-1])}


def write(path: pathlib.Path, runs: Runs) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text("".join(json.dumps(runs[name], sort_keys=True) + "\n" for name in sorted(runs)))
    partial.replace(path)


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Runs of train_fashion_mnist: every combination of the options' values."""

    options: Options
    against: dict  # a run is compared with the run that has these values instead and is otherwise equal
    heading: str = ""


@dataclasses.dataclass(frozen=True)
class Study:
    """`sweeps` are runs of train_fashion_mnist; `settings` are runs of the function `run`, without their seeds."""

    name: str
    seeds: list[int]
    sweeps: list[Sweep] = dataclasses.field(default_factory=list)
    settings: list[dict] = dataclasses.field(default_factory=list)
    run: Callable[[dict], dict] | None = None  # settings → results

    def make_seed(self, seed: int, part: pathlib.Path) -> None:
        """Makes the runs of a seed that `part` does not have."""
        for sweep in self.sweeps:
            words = [word for name, values in sweep.options.items() for word in (f"--{name}", *map(str, values))]
            subprocess.run([TRAINER, "--sweep", part, "--threads", "1", "--seed", str(seed), *words], check=True, stdout=subprocess.DEVNULL)
        ended = read(part)
        write(part, ended)
        for settings in ({**one, "seed": seed} for one in self.settings):
            if key(settings) not in ended:
                result = {"settings": settings, **self.run(settings)}
                with open(part, "a") as file:
                    file.write(json.dumps(result, sort_keys=True) + "\n")

    def make(self, again: bool) -> None:
        """Makes the runs that the study's file does not have, or `again` all of them, with one process for every core.

        An interrupted study goes on when it is made again. The file changes whenever all runs of a seed have ended.
        """
        file = ENDED / f"{self.name}.jsonl"
        runs = {} if again else read(file)

        def part_of(seed: int) -> pathlib.Path:
            part = BUILD / f"{self.name}_{seed}.jsonl"
            write(part, {**{name: run for name, run in runs.items() if run["settings"]["seed"] == seed}, **read(part)})
            with open(part.with_suffix(".log"), "a") as log:
                subprocess.run([sys.executable, pathlib.Path(__file__).parent, self.name, "--part", str(seed)], check=True, stderr=log)
            return part

        with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for seed, part in zip(self.seeds, pool.map(part_of, self.seeds)):
                runs.update(read(part))
                write(file, runs)
                print(f"{self.name}: seed {seed} has ended", flush=True)
