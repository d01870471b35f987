#!/bin/sh
# Builds the extension with Clang, warnings as errors, and runs on it the tests of what a compiler could break:
# second_compiler.sh VENV [pytest arguments]. Where a test fails, it is the source that is wrong, or a promise.
#   CLANGXX                the compiler (default: the first of clang++, clang++-19, ... clang++-14)
#   FASTOPT_CHECKED_LEVEL  the CPU level (default v3), or several: "v2;v3;v4"
# The digests of the installed build, GCC's, and of this one must be equal: the bits of every element-wise rule.
set -eu
venv=$(cd "$1" && pwd)
shift
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/clang
python=$venv/bin/python
case $(uname -m) in x86_64 | amd64) level=${FASTOPT_CHECKED_LEVEL:-v3} ;; *) level=base ;; esac
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
  -DFASTOPT_LEVELS="$level" -DFASTOPT_WERROR=ON >"$build.log" 2>&1 || { cat "$build.log" && exit 1; }
cmake --build "$build"
rm -rf "$build/python" && mkdir -p "$build/python"
cp -r "$root/python/fastopt" "$build/python/"
rm -f "$build"/python/fastopt/*.so
cp "$build"/*.so "$build/python/fastopt/"

cd "$root"
FASTOPT_LEVEL=${level##*;} "$python" tests/digests.py >"$build/digests.installed"
PYTHONPATH=$build/python FASTOPT_LEVEL=${level##*;} "$python" tests/digests.py >"$build/digests"
cmp "$build/digests.installed" "$build/digests"
echo "second_compiler.sh: $(wc -l <"$build/digests") digests are those of the installed build"
PYTHONPATH=$build/python exec "$python" -m pytest -q -p no:cacheprovider "$@"
