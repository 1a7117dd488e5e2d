"""Every test here may need the compiled simulator."""

import pytest


@pytest.fixture(autouse=True)
def _compiled(compiled):
    """Compile first, so that no test's time holds that."""
