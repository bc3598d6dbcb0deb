"""Pages refer only to what their readers can see."""

import pathlib
import re

import pytest
from repository import ROOT

# Runs' own folders, and what is not part of the repository.
_LEFT_OUT = ('experiments/results/paper/runs/', 'runs/', '.')

_FENCED = re.compile(r'^```.*?^```', re.MULTILINE | re.DOTALL)
_LINK = re.compile(r'\]\(([^)\s]+)\)|src="([^"]+)"')
_CODE = re.compile(r'`([^`\n]+)`')
_PATH = re.compile(r'[\w.=-]+(/[\w.=-]+)*/?')
_MODULE = re.compile(r'python -m ((?:iq_acme|experiments)[\w.]*)')
# Files that pages name without a folder; runs write the other kinds.
_SOURCES = ('.py', '.md', '.sh', '.toml')


def _pages() -> list[str]:
  pages = (page.relative_to(ROOT).as_posix() for page in ROOT.rglob('*.md'))
  return sorted(page for page in pages if not page.startswith(_LEFT_OUT))


PAGES = _pages()


def _exists(page: str, path: str) -> bool:
  return (ROOT / path).exists() or ((ROOT / page).parent / path).exists()


def _is_of_the_repository(page: str, path: str) -> bool:
  """Returns whether a word in backticks is a path in the repository."""
  if not _PATH.fullmatch(path):
    return False
  first, slash, _ = path.partition('/')
  if not slash:
    return path.endswith(_SOURCES)
  return first not in ('runs', '.', '..') and _exists(page, first)


def _anchors(page: pathlib.Path) -> set[str]:
  """Returns the anchors that GitHub gives the headings of a page."""
  headings = re.findall(r'^#+ +(.+)$', page.read_text('utf-8'), re.MULTILINE)
  kept = (re.sub(r'[^\w\- ]', '', heading.lower()) for heading in headings)
  return {heading.strip().replace(' ', '-') for heading in kept}


def test_there_are_pages():
  assert {'README.md', 'WORKSPACE_NOTES.md', 'docs/run_folder.md'} <= set(PAGES)


@pytest.mark.parametrize('page', PAGES)
def test_every_relative_link_leads_somewhere(page):
  text = _FENCED.sub('', (ROOT / page).read_text('utf-8'))
  broken = []
  for link in (link or source for link, source in _LINK.findall(text)):
    if re.match(r'[a-z]+:', link):
      continue
    path, _, anchor = link.partition('#')
    target = (ROOT / page).parent / path if path else ROOT / page
    if not target.exists() or (anchor and anchor not in _anchors(target)):
      broken.append(link)
  assert not broken


@pytest.mark.parametrize('page', PAGES)
def test_every_path_of_the_repository_exists(page):
  text = _FENCED.sub('', (ROOT / page).read_text('utf-8'))
  words = (word for code in _CODE.findall(text) for word in code.split())
  paths = [word for word in words if _is_of_the_repository(page, word)]
  assert not [path for path in paths if not _exists(page, path)]


@pytest.mark.parametrize('page', PAGES)
def test_every_module_that_a_command_runs_exists(page):
  modules = _MODULE.findall((ROOT / page).read_text('utf-8'))
  paths = [module.rstrip('.').replace('.', '/') for module in modules]
  assert not [
    path
    for path in paths
    if not ((ROOT / f'{path}.py').exists() or (ROOT / path / '__main__.py').exists())
  ]


def test_the_readme_has_at_most_700_words():
  assert len((ROOT / 'README.md').read_text('utf-8').split()) <= 700


@pytest.mark.parametrize(
  ('word', 'expected'),
  [
    ('iq_acme/losses.py', True),
    ('iq_acme/no_such_file.py', True),
    ('setup.py', True),
    ('no_such_file.py', True),
    ('seed_0/no_such_file.csv', False),
    ('eval.csv', False),
    ('runs/halfcheetah', False),
    ('experiments/results/*/x', False),
  ],
)
def test_tells_paths_of_the_repository_from_other_words(word, expected):
  assert _is_of_the_repository('README.md', word) == expected
