#!/bin/sh
# The suite with the oldest version of everything that pyproject.toml allows: oldest.sh PYTHON [WHEEL [pytest arguments]].
# `lowest-direct`: lower bounds of our own are taken at their word, what they need in turn is the newest that fits.
set -eu
python=${1:-python3} wheel=${2:-}
[ $# -lt 2 ] || shift 2
root=$(cd "$(dirname "$0")/.." && pwd)
venv=$root/.venv-oldest
"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet uv
[ -n "$wheel" ] || {
  "$venv/bin/python" -m pip wheel --quiet --no-deps --wheel-dir "$root/build/oldest" "$root"
  wheel=$(ls "$root"/build/oldest/*.whl)
}
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --resolution lowest-direct "$wheel[report,test]"
"$venv/bin/uv" pip list --quiet --python "$venv/bin/python"
cd "$root"
# Matplotlib 3.7 uses names that the newest pyparsing warns of.
exec "$venv/bin/python" -m pytest tests --ignore=tests/hosts -p no:cacheprovider -o "filterwarnings=error
ignore::DeprecationWarning:matplotlib.*" "$@"
