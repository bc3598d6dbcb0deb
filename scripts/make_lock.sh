#!/bin/sh
# Renews requirements.lock: the newest versions that setup.py and its [dev] allow, with
# everything they need in turn. `make lock` calls this.
#
# uv takes seconds. Without it pip resolves, which takes minutes, in a virtual
# environment made for the purpose and removed afterwards.
set -eu
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

resolve_with_uv() {
  uv pip compile --quiet --upgrade --python-version 3.10 --no-header --no-annotate \
    --extra dev --output-file "$1" setup.py
}

resolve_with_pip() {
  "${PYTHON:-.venv/bin/python}" -m venv "$scratch/venv"
  "$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --dry-run --ignore-installed --report "$scratch/report.json" '.[dev]'
  "$scratch/venv/bin/python" - "$scratch/report.json" "$1" <<'PYTHON'
import json, re, sys
report, lock = sys.argv[1:]
packages = [item['metadata'] for item in json.load(open(report))['install']]
pins = {re.sub('[-_.]+', '-', p['name']).lower(): p['version'] for p in packages}
pins.pop('iq-acme')
open(lock, 'w').writelines(f'{name}=={pins[name]}\n' for name in sorted(pins))
PYTHON
}

if command -v uv >/dev/null; then
  resolve_with_uv "$scratch/lock"
else
  resolve_with_pip "$scratch/lock"
fi
{
  echo '# Every version that `make train` and `make test` install, on Linux x86-64 with'
  echo '# Python 3.10. Renewed by `make lock`, from setup.py and its [dev]; not edited.'
  grep -E '^[a-z0-9]' "$scratch/lock"
} >"$scratch/requirements.lock"
mv "$scratch/requirements.lock" requirements.lock
