"""Options and fixtures that all tests share."""

from pathlib import Path

import pytest
from hypothesis import settings

# No test is timed: a busy machine is no fault of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --data: a folder with corpora in their official layout, for the tests that need real recordings."""
    parser.addoption("--data", default=None, help="folder with ferplus, ravdess, nemo, emogator, clips, models")


@pytest.fixture(scope="session")
def data_root(request: pytest.FixtureRequest) -> Path:
    """The folder given by --data; the test is skipped without it."""
    given = request.config.getoption("--data")
    if not given:
        pytest.skip("needs real recordings: run with --data DIR (make test DATA=DIR)")
    return Path(given)
