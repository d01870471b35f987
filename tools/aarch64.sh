#!/bin/sh
# Cross-builds for 64-bit ARM (NEON, the architecture's baseline) and runs tests on it, emulated:
# aarch64.sh VENV [pytest arguments]. Needs Debian with g++-aarch64-linux-gnu and qemu-user-static, and its version of
# Python in VENV. The same Python for ARM is fetched into build/aarch64, without a trace in this system's packages, and
# wheels for ARM from the package index.
# The digests of the installed build and of this one must be equal: the bits of every element-wise rule on two
# architectures. Tests that start another Python cannot be asked for: this system cannot run it by itself.
set -eu
venv=$(cd "$1" && pwd)
shift
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/aarch64 arm=$root/build/aarch64/root site=$root/build/aarch64/site
python=$venv/bin/python
for need in aarch64-linux-gnu-g++ qemu-aarch64-static apt-get dpkg-deb; do
  command -v $need >/dev/null ||
    { echo "aarch64.sh: no $need here (apt-get install g++-aarch64-linux-gnu qemu-user-static)" >&2 && exit 1; }
done
mkdir -p "$build"

# apt with a memory of its own, in which this is an empty ARM machine
fetch_python() {
  state=$build/apt
  mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$arm"
  : >"$state/status"
  cat >"$state/conf" <<CONF
APT::Architecture "arm64";
#clear APT::Architectures;
APT::Architectures { "arm64"; };
APT::Install-Recommends "false";
Dir::State "$state";
Dir::State::status "$state/status";
Dir::Cache "$state/cache";
Dir::Etc::SourceParts "$state/none";
CONF
  mkdir -p "$state/none"
  APT_CONFIG=$state/conf
  export APT_CONFIG
  suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main" >"$state/list"
  set -- -q -o "Dir::Etc::SourceList=$state/list"
  apt-get "$@" update
  apt-get "$@" install -y --download-only python3-dev python3-minimal libstdc++6
  unset APT_CONFIG
  for package in "$state"/cache/archives/*.deb; do dpkg-deb -x "$package" "$arm"; done
}
[ -e "$arm/usr/bin/python3" ] || fetch_python
version=$(basename "$(readlink -f "$arm/usr/bin/python3")") # python3.11
tag=$(echo "${version#python}" | tr -d .)
here=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
[ "$here" = "$version" ] || { echo "aarch64.sh: expected $version in $venv, as Debian has it here, got $here" >&2 && exit 1; }
on_arm() { # folders to import from, arguments of Python
  folders=$1 && shift
  env QEMU_LD_PREFIX="$arm" PYTHONPATH="$folders" OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1 \
    qemu-aarch64-static "$arm/usr/bin/$version" "$@"
}
[ -d "$site" ] || "$python" -m pip install --quiet --target "$site" --only-binary=:all: --implementation cp \
  --python-version "$tag" --abi "cp$tag" --abi abi3 --abi none \
  --platform manylinux_2_28_aarch64 --platform manylinux2014_aarch64 --platform any \
  numpy scipy ml_dtypes hypothesis pytest pytest-timeout threadpoolctl

"$python" -m pip install --quiet cmake ninja 'pybind11>=3.0' 'cmeel-eigen>=3.4.1'
prefix=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["platlib"])')
PATH=$venv/bin:$PATH
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
  -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ -DPython_EXECUTABLE="$python" \
  -DPython_INCLUDE_DIR="$arm/usr/include/$version" "-DCMAKE_CXX_FLAGS=-isystem $arm/usr/include" \
  -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" -DCMAKE_PREFIX_PATH="$prefix" \
  -DFASTOPT_WERROR=ON >"$build.log" 2>&1 || { cat "$build.log" && exit 1; }
cmake --build "$build"
rm -rf "$build/python" && mkdir -p "$build/python"
cp -r "$root/python/fastopt" "$build/python/"
rm -f "$build"/python/fastopt/*.so
for module in "$build"/_c*.so; do # named after the Python that built them
  name=$(basename "$module")
  cp "$module" "$build/python/fastopt/${name%%.*}.so"
done

cd "$root"
"$python" tests/digests.py >"$build/digests.installed"
on_arm "$build/python:$site" tests/digests.py >"$build/digests"
cmp "$build/digests.installed" "$build/digests"
echo "aarch64.sh: $(wc -l <"$build/digests") digests are those of the installed build"
on_arm "$build/python:$site" -m pytest -q -p no:cacheprovider --timeout=3000 "$@"
