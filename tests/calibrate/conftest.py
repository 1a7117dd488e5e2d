"""Makes the oracles importable; what the tests of real models share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "oracles"))


@pytest.fixture
def one_thread():
    """The models of tests are too small for more, and other tests run beside."""
    import torch  # noqa: PLC0415 - not everywhere

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
