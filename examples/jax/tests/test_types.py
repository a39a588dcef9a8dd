"""mypy --strict accepts the snippets of README.md, and finds wrong arguments of functions."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")


def test_types(tmp_path):
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert snippets
    for number, snippet in enumerate(snippets):
        (tmp_path / f"snippet_{number}.py").write_text(snippet, encoding="utf-8")
    (tmp_path / "wrong.py").write_text(
        "import feaug_jax\n"
        "from jax.numpy import ones\n"
        "x = ones((4, 3))\n"
        "feaug_jax.info_nce(x, x, tau=1)\n"
        'feaug_jax.negative_cosine(x, x, form="bolt")\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    found = done.stdout + done.stderr
    if "import-not-found" in found:
        pytest.skip("mypy finds only installed packages")
    errors = [line.partition(": ")[0] for line in found.splitlines() if " error: " in line]
    assert errors == ["wrong.py:4", "wrong.py:5"], found
