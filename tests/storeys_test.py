"""Who may import whom: the imports of every module against the table of storeys."""

import ast
import importlib.util
import subprocess
import sys

import pytest
from repository import ROOT

import iq_acme

# A room imports from its own storey's row, and from those above it in this table.
STOREYS = (
  ('config', 'spec_checks', 'spec_json', 'seeding', 'schedule', 'fields'),
  ('policies',),
  ('networks', 'losses', 'normalization', 'transitions'),
  ('optimization', 'update', 'acting', 'environments', 'tabular'),
  ('storage', 'process'),
  ('critics', 'episodes', 'policy_io', 'evaluation', 'datasets'),
  ('training',),
  ('population',),
  ('compat',),
  ('replay',),
  ('agent',),
  ('supervisor',),
  ('distributed', 'baselines'),
  ('commands', '__main__'),
)
# Without Acme and all that it brings; the compatibility patches are what brings it in.
PURE = [room for storey in STOREYS[:8] for room in storey]
# Parts of other rooms that are pure as well: a population has rings of its own.
PURE_MODULES = [
  f'iq_acme.replay.{name}' for name in ('__init__', 'ring', 'shared_ring')
]
PURE_MODULES += [
  f'iq_acme.baselines.sac.{name}'
  for name in ('__init__', 'config', 'networks', 'update', 'policy_file', 'population')
]
HEAVY = ('acme', 'reverb', 'tensorflow', 'launchpad', 'courier')


def modules():
  return sorted(
    path.relative_to(ROOT).with_suffix('').as_posix().replace('/', '.')
    for path in (ROOT / 'iq_acme').rglob('*.py')
  )


def room(module):
  parts = module.split('.')
  return parts[1] if len(parts) > 1 else None


def storey(name):
  (found,) = [i for i, rooms in enumerate(STOREYS) if name in rooms]
  return found


def imports(module):
  """Yields what a module imports, and whether it does so late or for types alone."""
  tree = ast.parse((ROOT / (module.replace('.', '/') + '.py')).read_text())
  late = {
    id(node)
    for part in ast.walk(tree)
    if isinstance(part, (ast.FunctionDef, ast.If))
    and (isinstance(part, ast.FunctionDef) or 'TYPE_CHECKING' in ast.dump(part.test))
    for node in ast.walk(part)
  }
  for node in ast.walk(tree):
    if isinstance(node, ast.ImportFrom):
      names = [f'{node.module}.{alias.name}' for alias in node.names]
    elif isinstance(node, ast.Import):
      names = [alias.name for alias in node.names]
    else:
      continue
    for name in names:
      yield name, id(node) in late


@pytest.mark.parametrize('module', modules())
def test_rooms_import_from_the_storeys_below_them_alone(module):
  mine = room(module)
  if mine in ('__init__', '_acme_compat'):
    return
  for name, late in imports(module):
    if not name.startswith('iq_acme.'):
      continue
    theirs = name.split('.')[1]
    if theirs in iq_acme.__all__:
      theirs = iq_acme._HOME[theirs].split('.')[0]
      assert late, f'{module} imports {name}, which loads its room late'
    if mine == theirs:
      continue
    assert storey(theirs) <= storey(mine), f'{module} imports {name}'


@pytest.mark.parametrize(
  'module',
  [m for m in modules() if room(m) in PURE or m in PURE_MODULES],
  ids=str,
)
def test_pure_rooms_import_nothing_of_acme(module):
  for name, late in imports(module):
    heavy = name.split('.')[0] in HEAVY
    writes_events = module == 'iq_acme.training.metrics_files'
    assert not heavy or (late and writes_events), f'{module} imports {name}'


def test_every_room_has_a_storey_and_every_storey_its_rooms():
  rooms = {room(module) for module in modules()} - {'__init__', '_acme_compat'}
  assert rooms <= {name for storey in STOREYS for name in storey}


def test_no_room_has_the_name_of_a_public_function():
  rooms = {room(module) for module in modules()}
  assert not rooms & set(iq_acme.__all__)


@pytest.mark.skipif(not importlib.util.find_spec('acme'), reason='no Acme')
def test_importing_any_module_defines_no_flag():
  # In one process: what one module defines, another could clash with.
  names = [m.removesuffix('.__init__') for m in modules() if '__main__' not in m]
  code = f"""
import importlib
from absl import app, flags, logging
import iq_acme
import chex, reverb, launchpad, acme
before = set(flags.FLAGS)
for name in {names!r}:
  importlib.import_module(name)
print(sorted(set(flags.FLAGS) - before))
"""
  done = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.strip().splitlines()[-1] == '[]'
