"""Settings of the whole suite.

Tests run in several processes, by pytest-xdist; -n0 or -p no:xdist run them in this one, for a debugger.
Hypothesis has no deadline, since a first call compiles; where CI is set it draws the same examples every time. Nothing
is read from the user's cache of compiled code, or written to it: what is tested is compiled by the code under test.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

os.environ["STAGED_AD_CACHE"] = "0"

COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("local", **COMMON)
settings.register_profile("ci", derandomize=True, database=None, print_blob=True, **COMMON)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Without the plugin its options in pyproject.toml mean nothing."""
    if not pluginmanager.hasplugin("xdist"):
        for option in ("--numprocesses", "--maxprocesses", "--dist"):
            parser.addoption(option)
