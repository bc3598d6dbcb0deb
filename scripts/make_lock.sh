#!/bin/sh
# Renews both locks: the newest versions that setup.py allows, with everything they need
# in turn. `make lock` calls this.
#
# Where there is no uv, one is installed into a folder that is removed afterwards.
set -eu
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if ! command -v uv >/dev/null; then
  "${PYTHON:-.venv/bin/python}" -m venv "$scratch/venv"
  "$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
  PATH=$scratch/venv/bin:$PATH
fi

# lock FILE COMMENT OPTIONS...: only lines that begin with a package's name are kept.
lock() {
  file=$1 comment=$2
  shift 2
  uv pip compile --quiet --upgrade --no-header --no-annotate --extra dev \
    --extra robotics --extra minari "$@" --output-file "$scratch/lock" setup.py
  {
    printf '# %s\n# Renewed by `make lock`, from setup.py; not edited.\n' "$comment"
    grep -E '^[a-z0-9]' "$scratch/lock"
  } >"$scratch/$file"
  mv "$scratch/$file" "$file"
  rm "$scratch/lock"
}

lock requirements.lock \
  'What `make train` and `make test` install, on Linux x86-64 with Python 3.10.' \
  --python-version 3.10 --python-platform linux --extra acme --extra dm_control
lock requirements-core.lock \
  'What `make test-core` installs: no Acme, on Python 3.11 to 3.13, any system.' \
  --python-version 3.11 --universal
