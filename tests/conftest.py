"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real motions and reference arrays; their licences keep them out of this repository."""
    folder = os.environ.get("MOTION_LIGHTNING_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("MOTION_LIGHTNING_TEST_DATA does not name a folder of real motions")
    return Path(folder)
