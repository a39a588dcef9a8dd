"""mypy --strict accepts the snippets of README.md, and finds wrong arguments of functions."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")


def mypy(folder):
    # PyTorch's Tensor.backward has no annotations.
    options = ["--strict", "--disable-error-code=no-untyped-call", "--no-error-summary"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "."],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def test_types(tmp_path):
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert len(snippets) >= 5
    for number, snippet in enumerate(snippets):
        (tmp_path / f"snippet_{number}.py").write_text(snippet, encoding="utf-8")
    (tmp_path / "wrong.py").write_text(
        "import feaug_torch\n"
        "from torch import randn\n"
        "x = randn(4, 3)\n"
        "reveal_type(feaug_torch.hypersphere(x, x))\n"
        "feaug_torch.hypersphere(x, x, tt=1)\n"
        'feaug_torch.negative_cosine(x, x, form="bolt")\n'
    )
    found = mypy(tmp_path)
    if "import-not-found" in found:
        pytest.skip("mypy finds only installed packages")
    lines = found.splitlines()
    assert [line.partition(": ")[0] for line in lines if "error" in line] == [
        "wrong.py:5",
        "wrong.py:6",
    ], found
    assert 'wrong.py:4: note: Revealed type is "torch._tensor.Tensor"' in lines
