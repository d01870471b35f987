#!/bin/sh
# Builds the extension with checks inside and runs tests on it: checked.sh thread|address|asserts|scalar VENV [pytest arguments].
#   thread    ThreadSanitizer: the pool alone under stress, then the engine and the eigensolver on several threads
#   address   AddressSanitizer and UndefinedBehaviorSanitizer, float casts included
#   asserts   the library's own assertions and libstdc++'s
#   scalar    the eigensolver without vector types: what a compiler that lacks them makes of it (MSVC)
# The first two begin with a fault that must be reported: a check that is silent there checks nothing.
set -eu
kind=$1 venv=$(cd "$2" && pwd)
shift 2
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/$kind
python=$venv/bin/python
case $(uname -m) in x86_64 | amd64) level=${FASTOPT_CHECKED_LEVEL:-v3} ;; *) level=base ;; esac
flags="-g1;-fno-omit-frame-pointer" # names and lines of what is reported; more takes the compiler longer
case $kind in
  thread) flags="$flags;-O1;-fsanitize=thread" runtime=libtsan.so ;;
  address)
    flags="$flags;-O1;-fsanitize=address,undefined,float-cast-overflow;-fno-sanitize-recover=undefined;-UNDEBUG"
    runtime=libasan.so
    ;;
  asserts) flags="$flags;-O2;-UNDEBUG;-D_GLIBCXX_ASSERTIONS" runtime= ;;
  scalar) flags="$flags;-O2;-DFASTOPT_SCALAR" runtime= ;;
  *) echo "checked.sh: expected thread, address, asserts or scalar, got $kind" >&2 && exit 2 ;;
esac

mkdir -p "$root/build"
"$python" -m pip install --quiet cmake ninja 'pybind11>=3.0' 'cmeel-eigen>=3.4.1'
prefix=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["platlib"])')
PATH=$venv/bin:$PATH
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPython_EXECUTABLE="$python" \
  -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" -DCMAKE_PREFIX_PATH="$prefix" \
  -DFASTOPT_LEVELS="$level" -DFASTOPT_BENCHMARKS=ON "-DFASTOPT_EXTRA_FLAGS=$flags" >"$build.log" 2>&1 ||
  { cat "$build.log" && exit 1; }
cmake --build "$build"
rm -rf "$build/python" && mkdir -p "$build/python"
cp -r "$root/python/fastopt" "$build/python/"
rm -f "$build"/python/fastopt/*.so
cp "$build"/*.so "$build/python/fastopt/"

compiler=${CXX:-c++}
if [ "$kind" = thread ]; then
  stress() { # program, source of the pool, folder of its headers
    "$compiler" -std=c++20 -O1 -g -fsanitize=thread -pthread -I"$3" "$2" "$root/tests/cpp/stress.cpp" -o "$build/$1"
  }
  stress stress "$root/cpp/threads/pool.cpp" "$root/cpp"
  "$build/stress" 100000 3 0
  "$compiler" -std=c++20 -O1 -g -fsanitize=thread -pthread "$root/tests/cpp/race.cpp" -o "$build/race"
  if "$build/race" >/dev/null 2>&1; then echo "checked.sh: the race detector is silent about a race" >&2 && exit 1; fi
fi
if [ "$kind" = address ]; then
  "$compiler" -std=c++20 -O1 -g -fsanitize=address,undefined "$root/tests/cpp/overflow.cpp" -o "$build/overflow"
  if "$build/overflow" >/dev/null 2>&1; then echo "checked.sh: the sanitizer is silent about an overflow" >&2 && exit 1; fi
  "$compiler" -std=c++20 -O1 -g -fsanitize=address,undefined -pthread -I"$root/cpp" "$root/tests/cpp/measures.cpp" -o "$build/measures"
  "$build/measures"
fi

export PYTHONPATH="$build/python" FASTOPT_CHECKED=$kind
# A free-threaded interpreter has its own allocator and no other.
"$python" -c 'import sysconfig, sys; sys.exit(bool(sysconfig.get_config_var("Py_GIL_DISABLED")))' && export PYTHONMALLOC=malloc
export TSAN_OPTIONS="halt_on_error=1 report_signal_unsafe=0 die_after_fork=0 ${TSAN_OPTIONS:-}"
export ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1 ${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1 ${UBSAN_OPTIONS:-}"
cd "$root"
preload=
# libstdc++ beside it: Python does not load it, and the sanitizer must find what throws before the first exception
[ -z "$runtime" ] || preload="$("$compiler" -print-file-name=$runtime) $("$compiler" -print-file-name=libstdc++.so)"
exec env LD_PRELOAD="$preload" "$python" -m pytest -q -p no:cacheprovider "$@"
