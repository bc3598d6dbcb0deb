#!/bin/sh
# Creates a virtual environment with Python 3.10 and installs the locked versions and
# this package into it.
#
#   scripts/make_venv.sh [folder, .venv unless told]
#
# Python comes from `python3.10`, from pyenv or from uv, whichever works first; uv,
# where present, also does the installing, for it is quicker than pip.
set -eu
cd "$(dirname "$0")/.."
venv=${1:-.venv}

say() { printf '%s\n' "$*" >&2; }

# A pyenv shim called python3.10 may exist and still fail: only running it tells.
is_python310() {
  "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 10))' >/dev/null 2>&1
}

# Debian's python3.10 comes without venv, whose package is a separate one.
has_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

pyenv_pythons() {
  for root in "${PYENV_ROOT:-}" "$(pyenv root 2>/dev/null || true)" \
    "${HOME:-}/.pyenv"; do
    if [ -n "$root" ]; then ls -d "$root"/versions/3.10*/bin/python3.10 2>/dev/null || true; fi
  done
}

find_python() {
  for python in python3.10 $(pyenv_pythons) python3 python; do
    if is_python310 "$python" && has_venv "$python"; then
      printf '%s\n' "$python"
      return
    fi
  done
}

create() {
  rm -rf "$venv"
  python=$(find_python)
  if [ -n "$python" ]; then
    say "Creating $venv with $python"
    "$python" -m venv "$venv"
  elif command -v uv >/dev/null; then
    say "Creating $venv with uv, which fetches Python 3.10 where it has none"
    uv venv --quiet --seed --python 3.10 "$venv"
  elif command -v pyenv >/dev/null; then
    say 'Building Python 3.10 with pyenv; this takes some minutes'
    PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install --skip-existing 3.10
    python=$(find_python)
    "${python:?pyenv has built no Python 3.10 that runs}" -m venv "$venv"
  else
    say 'Python 3.10 is needed (Launchpad is built for no newer one), and none was'
    say 'found. Any one of these will do:'
    say '  python3.10  on the PATH, with its venv module (python3.10-venv on Debian)'
    say '  uv          which fetches Python 3.10 by itself'
    say '  pyenv       PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install 3.10'
    exit 1
  fi
}

install() {
  python=$venv/bin/python
  # The lock is complete, so nothing has to be resolved.
  if command -v uv >/dev/null; then
    uv pip install --python "$python" --no-deps -r requirements.lock
    uv pip install --python "$python" --no-deps --no-build-isolation -e .
    uv pip check --python "$python"
  else
    "$python" -m pip install --disable-pip-version-check --no-deps -r requirements.lock
    "$python" -m pip install --disable-pip-version-check --no-deps \
      --no-build-isolation -e .
    "$python" -m pip --disable-pip-version-check check
  fi
}

is_python310 "$venv/bin/python" || create
install
