"""Where this checkout is, for tests that start its programs."""

import pathlib

HELPERS = pathlib.Path(__file__).resolve().parent
TESTS = HELPERS.parent
ROOT = TESTS.parent
