"""Glosses of WordNet 3.0 and their classes, the lexicographer files (Debian: wordnet-base)."""

from __future__ import annotations

import pathlib

import numpy as np

FOLDER = pathlib.Path("/usr/share/wordnet")
TOPS = 3  # noun.Tops: the roots of the hierarchies, a class of no subject
TRAIN, HELD_OUT = 10000, 5000


def glosses() -> tuple[list[str], np.ndarray]:
    """TRAIN + HELD_OUT definitions without their examples, and their classes 0 to 39, in an order that is always the same."""
    texts, files = [], []
    for part in ("noun", "verb"):
        for line in (FOLDER / f"data.{part}").read_text().splitlines():
            if line.startswith(" "):
                continue  # the licence
            fields, gloss = line.split(" | ", 1)
            if int(fields.split()[1]) != TOPS:
                texts.append(gloss.split('; "')[0].strip())
                files.append(int(fields.split()[1]))
    chosen = np.random.default_rng(0).permutation(len(texts))[: TRAIN + HELD_OUT]
    return [texts[one] for one in chosen], np.unique(files, return_inverse=True)[1][chosen]
