#!/bin/sh
# Processors that are not at hand, emulated: old_processors.sh VENV, with qemu-user-static and an installed fastopt.
# Below the lowest level `import fastopt` must say what is needed; with one feature missing the level must be the one
# below; and what is then loaded must run. An instruction that a processor does not have ends the emulation (status 132),
# so this is no question of what fastopt believes. There is no AVX-512 in QEMU: v4 runs on real processors only.
set -eu
python=$(cd "$1" && pwd)/bin/python
qemu=${QEMU:-qemu-x86_64-static}
command -v "$qemu" >/dev/null || { echo "old_processors.sh: no $qemu here (apt-get install qemu-user-static)" >&2 && exit 1; }
# OpenBLAS dies on some of these processors if it is left to choose: NumPy's, and not what is tested here.
export OPENBLAS_NUM_THREADS=1 OPENBLAS_CORETYPE=Nehalem PYTHONDONTWRITEBYTECODE=1
unset FASTOPT_LEVEL
cd /
failed=0
on() { # processor, expected last line of output, code
  found=$("$qemu" -cpu "$1" "$python" -c "$3" 2>&1 | tail -n 1)
  case $found in
    $2) echo "$1: $found" ;;
    *) echo "$1: expected '$2', got '$found'" && failed=1 ;;
  esac
}
in_use='from fastopt import _dispatch; print(_dispatch.core.level)'
cure='ImportError: fastopt needs a processor of level x86-64-v2 * or newer; this one has less'
for processor in core2duo Conroe Penryn phenom Opteron_G3 'Nehalem,-popcnt' 'Nehalem,-sse4.2' 'Haswell,-ssse3' 'Haswell,-cx16'; do
  on "$processor" "$cure" 'import fastopt'
done
for processor in Nehalem Westmere SandyBridge IvyBridge 'max,-avx2' 'Haswell,-avx' 'Haswell,-fma' 'Haswell,-f16c' \
  'Haswell,-movbe' 'Haswell,-abm' 'Haswell,-bmi2' 'Haswell,-xsave'; do # without BMI1 glibc 2.36 ends Python itself
  on "$processor" v2 "$in_use"
done
for processor in Haswell Broadwell EPYC max; do on "$processor" v3 "$in_use"; done
on Nehalem "ImportError: FASTOPT_LEVEL: this processor can run v2, got 'v3'" \
  'import os; os.environ["FASTOPT_LEVEL"] = "v3"; import fastopt'
for processor in Nehalem IvyBridge Haswell; do
  on "$processor" 'everything is right' \
    'import sys; from fastopt.cli import main; print("everything is right" if main(["selftest"]) == 0 else "selftest failed")'
done
exit $failed
