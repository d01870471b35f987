// Included before a source, so that it is read as by a compiler that is neither GCC nor Clang, on a system that is neither
// Linux nor Unix: MSVC is not at hand. What the sources include comes first, as those headers know the real compiler.
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cassert>
#include <cfenv>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if __has_include(<Eigen/Core>)
#include <Eigen/Core>
#endif
#if __has_include(<pybind11/pybind11.h>)
#include <pybind11/critical_section.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#endif

#undef __GNUC__
#undef __clang__
#undef __linux__
#undef __unix__
#undef __APPLE__
#undef __attribute__
#define __attribute__(list) this_compiler_has_no_attributes_of_gnu
#define __pragma(text)
#define _WIN32 1
#define __declspec(list)
