"""Calls `python -m experiments.paper`, for whoever has the older command in a script."""

import pathlib
import runpy
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
runpy.run_module('experiments.paper', run_name='__main__', alter_sys=True)
