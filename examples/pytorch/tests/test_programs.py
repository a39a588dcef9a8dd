"""Programs as a user runs them: the README's and the training."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent
SNIPPETS = re.findall(r"```python\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_the_readmes_snippets_run(snippet):
    exec(compile(snippet, "README.md", "exec"), {"__name__": "__main__"})  # noqa: S102


def test_the_training_learns():
    finished = subprocess.run(
        [sys.executable, FOLDER / "train_nnclr.py"],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    before, after = map(float, re.findall(r"accuracy ([\d.]+) %", finished.stdout))
    assert after > before + 5, finished.stdout
