#!/bin/sh
# The suite with the oldest version of everything that pyproject.toml allows: oldest.sh [--doors] PYTHON [WHEEL [pytest arguments]].
#   --doors   the oldest PyTorch and JAX of the extras, and the tests that need them (Python 3.12 at most: JAX has no
#             wheels for later ones). On Linux PIP_EXTRA_INDEX_URL with PyTorch's index for the CPU saves gigabytes.
# `lowest-direct`: lower bounds of our own are taken at their word, what they need in turn is the newest that fits. Where
# there is no wheel for this version of Python, it is the first version that has one.
set -eu
extras="--extra report --extra test" doors=
[ "${1:-}" != --doors ] || { extras="--extra test --extra jax" doors=yes && shift; }
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
# From pyproject.toml itself: the requirements of a wheel would be what it needs in turn, and the newest.
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --resolution lowest-direct --only-binary :all: \
  -r "$root/pyproject.toml" $extras
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps "$wheel"
# By pip: of one version it prefers the build for the CPU, 2.6.0+cpu, if an index has it.
[ -z "$doors" ] || {
  "$python" "$root/tools/requirements.py" torch | sed 's/>=/==/'
  grep '^expecttest' "$root/tests/torch_door/requirements.txt"
} | "$venv/bin/python" -m pip install --quiet -r /dev/stdin
"$venv/bin/uv" pip list --quiet --python "$venv/bin/python"
cd "$root"
# Matplotlib 3.7 uses names that the newest pyparsing warns of.
tested() {
  "$venv/bin/python" -m pytest -p no:cacheprovider -o "filterwarnings=error
ignore::DeprecationWarning:matplotlib.*" "$@"
}
if [ -n "$doors" ]; then
  FASTOPT_REQUIRE_TORCH=1 tested tests/torch_door tests/test_from_torch.py "$@"
  FASTOPT_REQUIRE_JAX=1 tested tests/test_from_jax.py # JAX wants a process of its own
else
  # What type checkers say of the examples depends on the stubs of NumPy and matplotlib: the newest are checked.
  tested tests --ignore=tests/hosts --ignore=tests/test_typing.py "$@"
fi
