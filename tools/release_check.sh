#!/bin/sh
# Everything about a release that one Linux machine can know before anything is uploaded:
#   release_check.sh [-f] [PYTHON]      -f: the whole suite on the installed wheel, not its core alone
# Source distribution -> wheel from it -> manylinux -> an empty environment without a compiler -> tests. Leaves both in dist/.
set -eu
suite=tools/test_installed.py
[ "${1:-}" != -f ] || { suite=whole && shift; }
python=${1:-python3}
root=$(cd "$(dirname "$0")/.." && pwd)
wanted=3000000 most=4500000 # bytes of a wheel with three levels: what is aimed at, and what none may have
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say() { printf '\n== %s\n' "$*"; }

say "tools"
"$python" -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet -r "$root/tools/release-requirements.txt"
PATH=$work/tools/bin:$PATH

if [ -d "$root/.github" ]; then # a source distribution has none
  say "workflows"
  check-jsonschema --builtin-schema vendor.github-workflows "$root"/.github/workflows/*.yml
  check-jsonschema --builtin-schema vendor.dependabot "$root/.github/dependabot.yml"
  zizmor --offline --quiet "$root/.github"
fi

say "source distribution"
python -m build --quiet --sdist --outdir "$work/sdist" "$root"
mkdir "$work/source"
tar -xzf "$work"/sdist/*.tar.gz -C "$work/source" --strip-components=1
ls -l "$work/sdist"

say "wheel, from the source distribution"
python -m build --quiet --wheel --outdir "$work/built" "$work/source"
auditwheel show "$work"/built/*.whl
auditwheel repair -z 9 --wheel-dir "$work/wheel" "$work"/built/*.whl
wheel=$(ls "$work"/wheel/*.whl)
sh "$root/tools/smaller.sh" "$wheel" # all below looks at the result
check-wheel-contents "$wheel"
ls -l "$work/built" "$work/wheel"
bytes=$(wc -c <"$wheel")
[ "$bytes" -le $wanted ] || echo "MISSED: the wheel has $bytes bytes, $wanted are wanted (docs/design/packaging.md says why)"
[ "$bytes" -le $most ] || { echo "release_check.sh: the wheel has $bytes bytes, more than $most" >&2 && exit 1; }
case $wheel in
  *abi3*) abi3audit --strict "$wheel" ;;
  *) echo "abi3audit: nothing to audit, the wheel is of one version of CPython (pybind11 has no limited API)" ;;
esac
twine check --strict "$work"/sdist/* "$wheel"

say "an empty environment, without a compiler"
"$python" -m venv "$work/empty"
bin=$work/empty/bin
alone() { env -u PYTHONPATH -u FASTOPT_LEVEL PATH="$bin" CC=false CXX=false "$@"; }
alone "$bin/python" -m pip install --quiet --only-binary :all: "$wheel"
alone "$bin/python" -m pip list
alone "$bin/fastopt" info
alone "$bin/fastopt" selftest

say "what each module of it costs" # the report asks the installed package which compiler made it
env -u PYTHONPATH -u FASTOPT_LEVEL "$bin/python" "$root/bench/bench_wheel.py" --wheel "$wheel" --out "$work/size"
cat "$work/size/wheel.json"

say "tests of the installed wheel, from the unpacked source distribution"
cd "$work/source"
"$bin/python" tools/requirements.py test | "$bin/python" -m pip install --quiet -r /dev/stdin
export FASTOPT_SDIST="$work/sdist" FASTOPT_WHEEL="$wheel"
if [ "$suite" = whole ]; then
  "$bin/python" -m pytest tests --ignore=tests/hosts -p no:cacheprovider
else
  "$bin/python" "$suite"
fi
mkdir -p "$root/dist"
cp "$work"/sdist/* "$wheel" "$root/dist/"
say "all is well: $(ls "$root/dist" | tr '\n' ' ')"
