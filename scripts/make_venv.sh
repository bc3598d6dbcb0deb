#!/bin/sh
# Creates a virtual environment and installs locked versions and this package into it.
#
#   scripts/make_venv.sh [folder, .venv unless told] [acme or core, acme unless told]
#
# acme: everything, on Python 3.10. core: what needs no Acme, on the newest of Python
# 3.13, 3.12 and 3.11. Python comes from the PATH, from pyenv or from uv, whichever works
# first; uv, where present, also does the installing, for it is quicker than pip.
set -eu
cd "$(dirname "$0")/.."
venv=${1:-.venv}
case ${2:-acme} in
  acme) versions=3.10 lock=requirements.lock ;;
  core) versions='3.13 3.12 3.11' lock=requirements-core.lock ;;
  *) printf '%s\n' "Unknown: $2; acme or core." >&2; exit 2 ;;
esac

say() { printf '%s\n' "$*" >&2; }

# A pyenv shim of that name may exist and still fail: only running it tells.
is_python() {
  "$1" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] not in '$2'.split())" \
    >/dev/null 2>&1
}

# Debian's Python comes without venv, whose package is a separate one.
has_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

pyenv_pythons() {
  for root in "${PYENV_ROOT:-}" "$(pyenv root 2>/dev/null || true)" \
    "${HOME:-}/.pyenv"; do
    if [ -n "$root" ]; then
      ls -d "$root"/versions/"$1"*/bin/"python$1" 2>/dev/null || true
    fi
  done
}

find_python() {
  for version in $versions; do
    for python in "python$version" $(pyenv_pythons "$version") python3 python; do
      if is_python "$python" "$version" && has_venv "$python"; then
        printf '%s\n' "$python"
        return
      fi
    done
  done
}

create() {
  rm -rf "$venv"
  python=$(find_python)
  version=${versions%% *}
  if [ -n "$python" ]; then
    say "Creating $venv with $python"
    "$python" -m venv "$venv"
  elif command -v uv >/dev/null; then
    say "Creating $venv with uv, which fetches Python $version where it has none"
    uv venv --quiet --seed --python "$version" "$venv"
  elif command -v pyenv >/dev/null; then
    say "Building Python $version with pyenv; this takes some minutes"
    PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install --skip-existing "$version"
    python=$(find_python)
    "${python:?pyenv has built no Python $version that runs}" -m venv "$venv"
  else
    say "Python $version is needed, and none was found. Any one of these will do:"
    say "  python$version  on the PATH, with its venv module (python$version-venv on Debian)"
    say '  uv          which fetches Python by itself'
    say "  pyenv       PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install $version"
    exit 1
  fi
}

install() {
  python=$venv/bin/python
  # The lock is complete, so nothing has to be resolved.
  if command -v uv >/dev/null; then
    uv pip install --python "$python" --no-deps -r "$lock"
    uv pip install --python "$python" --no-deps --no-build-isolation -e .
    uv pip check --python "$python"
  else
    "$python" -m pip install --disable-pip-version-check --no-deps -r "$lock"
    "$python" -m pip install --disable-pip-version-check --no-deps \
      --no-build-isolation -e .
    "$python" -m pip --disable-pip-version-check check
  fi
}

is_python "$venv/bin/python" "$versions" || create
install
