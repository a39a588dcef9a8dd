"""Runs the snippets of the README and the training program."""

import os
import re
import subprocess
import sys
from pathlib import Path

import feaug_torch
import pytest
import torch

FOLDER = Path(__file__).parent.parent
README = (FOLDER / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_the_readmes_snippets_run(snippet):
    exec(compile(snippet, "README.md", "exec"), {"__name__": "__main__"})  # noqa: S102


def test_the_readmes_error():
    (wanted,) = re.findall(r"^ValueError: (.*)$", README, re.MULTILINE)
    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        feaug_torch.info_nce(torch.ones(4, 3), torch.ones(4, 5))


def test_the_training_learns():
    finished = subprocess.run(
        [sys.executable, FOLDER / "train_nnclr.py"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    before, *_, after = map(float, re.findall(r"accuracy ([\d.]+) %", finished.stdout))
    assert after > before + 5, finished.stdout
