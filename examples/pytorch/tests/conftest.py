import pytest
import torch


@pytest.fixture
def rows():
    """rows(n, d, dtype): normal random numbers, different at every call."""
    generator = torch.Generator().manual_seed(7)

    def draw(n, d, dtype=torch.float64):
        return torch.randn(n, d, generator=generator, dtype=torch.float64).to(dtype)

    return draw


@pytest.fixture
def refuses():
    """refuses(call, *parts): the call fails with a message that contains all parts."""

    def check(call, *parts, error=(RuntimeError, ValueError, TypeError)):
        with pytest.raises(error) as raised:
            call()
        for part in parts:
            assert part in str(raised.value)

    return check


@pytest.fixture(autouse=True)
def _reproducible():
    """Makes PyTorch fill new tensors with NaN, so that elements left unwritten are detected."""
    torch.manual_seed(1)
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)
