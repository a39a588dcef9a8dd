"""The installation: its own check, its version."""

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

import feaug_jax
import jax


def test_the_module_checks_the_installation():
    done = subprocess.run([sys.executable, "-m", "feaug_jax"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for part in (feaug_jax.__version__, jax.__version__, "info_nce", "as it should"):
        assert part in done.stdout


def test_the_version_is_that_of_the_headers():
    assert re.fullmatch(r"\d+\.\d+\.\d+", feaug_jax.__version__)
    try:
        assert version("feaug-jax") == feaug_jax.__version__
    except PackageNotFoundError:  # run from a build folder
        pass
