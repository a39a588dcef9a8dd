import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import feaug_torch

# Functions of PyTorch's stable ABI; of the C and C++ libraries, whose names have versions (weak ones
# may have none); hooks of the loader and the profiler.
ALLOWED = re.compile(
    r"(aoti_torch_|torch_)\w+|.+@(GLIBC|GLIBCXX|CXXABI|GCC)_[\d.]+|_ZN?K?St\w+|__cxa_finalize|"
    r"__gmon_start__|_ITM_\w+"
)


def foreign_symbols(library):
    """Undefined symbols that a library with the stable ABI must not have."""
    listed = subprocess.run(
        ["nm", "-D", "--undefined-only", str(library)], check=True, capture_output=True, text=True
    )
    names = [line.split()[-1] for line in listed.stdout.splitlines()]
    assert names
    return [name for name in names if not ALLOWED.fullmatch(name)]


needs_tools = pytest.mark.skipif(
    not (shutil.which("nm") and shutil.which("g++")), reason="needs nm and g++"
)


@needs_tools
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_library_uses_only_the_stable_abi(device):
    libraries = [
        library
        for folder in feaug_torch.__path__
        for library in Path(folder).glob(f"libfeaug_torch_{device}.so")
    ]
    if device == "cuda":
        if not libraries:
            pytest.skip("not compiled for GPUs")
        allowed = re.compile(r"cu(da|blas)\w+(@.*)?|__cuda\w+(@.*)?")
    else:
        assert libraries
        allowed = re.compile("")
    for library in libraries:
        assert [name for name in foreign_symbols(library) if not allowed.fullmatch(name)] == []


@needs_tools
def test_a_call_of_at_empty_would_be_found(tmp_path):
    source = tmp_path / "planted.cpp"
    source.write_text("namespace at { void empty(); }  void call() { at::empty(); }")
    library = tmp_path / "planted.so"
    subprocess.run(["g++", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
    assert foreign_symbols(library) == ["_ZN2at5emptyEv"]


def test_the_module_checks_the_installation():
    done = subprocess.run([sys.executable, "-m", "feaug_torch"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for part in (feaug_torch.__version__, torch.__version__, "info_nce", "as it should"):
        assert part in done.stdout


def test_the_version_is_that_of_the_headers():
    assert re.fullmatch(r"\d+\.\d+\.\d+", feaug_torch.__version__)
    from importlib.metadata import PackageNotFoundError, version

    try:
        assert version("feaug-torch") == feaug_torch.__version__
    except PackageNotFoundError:  # run from a build folder
        pass


def test_the_stub_is_that_of_the_table():
    from feaug_torch import _losses

    stub = Path(__file__).parents[1] / "python" / "feaug_torch" / "_losses.pyi"
    assert stub.read_text() == _losses.stub()
    assert set(_losses.__all__) <= set(feaug_torch.__all__)


def test_a_row_makes_the_schema_and_the_function():
    from feaug_torch import _losses

    rows = {loss.name: loss for loss in _losses._table}
    schema = str(torch.ops.feaug.info_nce.default._schema)
    assert schema == (
        "feaug::info_nce(Tensor queries, Tensor keys, Tensor? negatives, "
        "Tensor? learnable_temperature, float temperature, SymInt positive_offset, "
        "bool in_batch_negatives, bool[4] wanted, Tensor? by_loss) -> "
        "(Tensor, Tensor, Tensor, Tensor, Tensor)"
    )
    assert rows["info_nce"].differentiable == 4
    assert feaug_torch.info_nce.__doc__ == rows["info_nce"].documentation
    signature = inspect.signature(feaug_torch.hypersphere)
    assert list(signature.parameters) == ["z0", "z1", "t", "lam", "alpha", "recompute"]
    assert signature.parameters["alpha"].default == 2.0
    assert "hypersphere(" in inspect.getsource(feaug_torch.hypersphere)
