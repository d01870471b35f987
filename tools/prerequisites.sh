#!/bin/sh
# What a build needs before pip can do the rest: Python >= 3.10 with venv and headers, and a C++20 compiler.
python=${1:-python3}
case $(uname -s) in
  Darwin) cure="xcode-select --install; brew install python" ;;
  *) cure="sudo apt-get install -y g++ make python3-venv python3-dev" ;;
esac
fail() {
  echo "fastopt: $1" >&2
  echo "  to install what is needed: $cure" >&2
  exit 1
}
command -v "$python" >/dev/null || fail "no $python found"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  fail "Python >= 3.10 is needed, $python is $("$python" -V 2>&1); choose another with make PYTHON=..."
"$python" -c 'import venv, ensurepip' 2>/dev/null || fail "$python has no venv module"
"$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' ||
  fail "the C headers of $python (Python.h) are missing"
compiler=${CXX:-c++}
command -v "$compiler" >/dev/null || fail "no C++ compiler ($compiler) found"
echo '#include <span>
int main() { return static_cast<int>(std::span<int>().size()); }' | "$compiler" -std=c++20 -fsyntax-only -x c++ - 2>/dev/null ||
  fail "$compiler does not compile C++20"
