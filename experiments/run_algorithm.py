"""Calls `python -m iq_acme`, for whoever has the older command in a script."""

import pathlib
import runpy
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.argv.insert(1, 'train')
runpy.run_module('iq_acme', run_name='__main__', alter_sys=True)
