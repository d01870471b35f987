#!/bin/sh
# Builds the extension with Clang, warnings as errors, and runs on it the tests of what a compiler could break:
# second_compiler.sh VENV [pytest arguments]. Where a test fails, it is the source that is wrong, or a promise.
#   CLANGXX                the compiler (default: the first of clang++, clang++-19, ... clang++-14)
#   FASTOPT_CHECKED_LEVEL  the CPU level, or several (default: "v2;v3;v4")
# All of these are compiled. The digests of the installed build, GCC's, and of each that this processor runs must be
# equal: the bits of every element-wise rule. The tests run at the best of them.
set -eu
venv=$(cd "$1" && pwd)
shift
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/clang
python=$venv/bin/python
case $(uname -m) in x86_64 | amd64) levels=${FASTOPT_CHECKED_LEVEL:-v2;v3;v4} ;; *) levels=base ;; esac
for compiler in ${CLANGXX:-clang++ clang++-19 clang++-18 clang++-17 clang++-16 clang++-15 clang++-14 none}; do
  command -v "$compiler" >/dev/null && break
done
[ "$compiler" != none ] || { echo "second_compiler.sh: no clang++ here (apt-get install clang), or set CLANGXX" >&2 && exit 1; }

mkdir -p "$root/build"
"$python" -m pip install --quiet cmake ninja 'pybind11>=3.0' 'cmeel-eigen>=3.4.1'
prefix=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["platlib"])')
PATH=$venv/bin:$PATH
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DPython_EXECUTABLE="$python" \
  -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" -DCMAKE_PREFIX_PATH="$prefix" \
  -DFASTOPT_LEVELS="$levels" -DFASTOPT_WERROR=ON >"$build.log" 2>&1 || { cat "$build.log" && exit 1; }
cmake --build "$build"
rm -rf "$build/python" && mkdir -p "$build/python"
cp -r "$root/python/fastopt" "$build/python/"
rm -f "$build"/python/fastopt/*.so
cp "$build"/*.so "$build/python/fastopt/"

cd "$root"
unset FASTOPT_LEVEL
here=$(PYTHONPATH=$build/python "$python" -c '
from fastopt import _dispatch
print(*(level for level in _dispatch.built() if level in _dispatch.possible()))')
"$python" tests/digests.py >"$build/digests.installed"
for level in $here; do
  PYTHONPATH=$build/python FASTOPT_LEVEL=$level "$python" tests/digests.py >"$build/digests.$level"
  cmp "$build/digests.installed" "$build/digests.$level"
  echo "second_compiler.sh: the $(wc -l <"$build/digests.$level") digests of $level are those of the installed build"
done
echo "second_compiler.sh: compiled $levels, run here: $here; the tests at $level"
[ "$level" = base ] || find "$build/python/fastopt" -name '_core_v*' ! -name "_core_$level.*" -exec rm {} +
PYTHONPATH=$build/python exec "$python" -m pytest -q -p no:cacheprovider "$@"
