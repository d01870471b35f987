#include "linalg/load.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "linalg/simd.hpp"
#include "linalg/symmetric_kernels.hpp"

namespace fastopt::linalg {
namespace {

// Entries whose squares, summed n times and multiplied again, stay inside the range: no scaling needed. Not so below 1:
// divide and conquer deflates by a tolerance that compares T with unit vectors, and has lost all digits at a norm of 2^-50.
template <class T>
constexpr int harmless = sizeof(T) == 8 ? 200 : 10;

// Rows are read along memory whichever way the triangle lies: blocks keep the lines of the other side in cache.
template <class T>
void copy_triangle(Source<T> s, std::int64_t n, T* to, std::int64_t ld) {
  if (!s.lower) std::swap(s.row, s.column);
  constexpr std::int64_t block = 16;
  if (s.row == 1) {
    for (std::int64_t j = 0; j < n; ++j) std::copy(s.a + j * s.column + j, s.a + j * s.column + n, to + j * ld + j);
    return;
  }
  for (std::int64_t i0 = 0; i0 < n; i0 += block)
    for (std::int64_t j0 = 0; j0 <= i0; j0 += block) {
      const std::int64_t i1 = std::min(i0 + block, n);
      for (std::int64_t i = i0; i < i1; ++i) {
        const T* from = s.a + i * s.row;
        for (std::int64_t j = j0, last = std::min(j0 + block, i + 1); j < last; ++j) to[j * ld + i] = from[j * s.column];
      }
    }
}

// The largest magnitude; infinity if anything is not finite.
template <class T>
T largest(const T* a, std::int64_t n, std::int64_t ld) {
  Vec<T> most = {}, poison = {};
  T rest = 0, bad = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    std::int64_t i = j;
    for (; i + lanes<T> <= n; i += lanes<T>) {
      const Vec<T> v = load(a + j * ld + i), m = v < Vec<T>{} ? -v : v;
      most = m > most ? m : most;
      poison += zero_if_finite(v);
    }
    for (; i < n; ++i) rest = std::max(rest, std::abs(a[j * ld + i])), bad += zero_if_finite(a[j * ld + i]);
  }
  for (int l = 0; l < lanes<T>; ++l) {
    T x[lanes<T>], p[lanes<T>];
    store(x, most), store(p, poison);
    rest = std::max(rest, x[l]);
    bad += p[l];
  }
  if (bad != T(0)) throw std::domain_error(not_finite);
  return rest;
}

}  // namespace

template <class T>
int load_scaled(Source<T> source, Shape<T> shape, T* to) {
  const std::int64_t n = shape.n, ld = shape.ld;
  copy_triangle(source, n, to, ld);
  const T most = largest(to, n, ld);
  int exponent = 0;
  if (most > T(0)) std::frexp(most, &exponent);
  if (exponent >= 0 && exponent <= harmless<T>) exponent = 0;
  if (exponent != 0) {  // in two steps: 2^-exponent itself may not be representable
    const T first = std::ldexp(T(1), -exponent / 2), second = std::ldexp(T(1), -exponent - (-exponent / 2));
    for (std::int64_t j = 0; j < n; ++j)
      for (std::int64_t i = j; i < n; ++i) to[j * ld + i] = to[j * ld + i] * first * second;
  }
  for (std::int64_t j = 0; j < shape.padded; ++j) {
    const std::int64_t begin = j / tile<T> * tile<T>;
    for (std::int64_t i = begin; i < std::min(j, n); ++i) to[j * ld + i] = j < n ? to[i * ld + j] : T(0);
    std::fill(to + j * ld + std::max(begin, n), to + j * ld + shape.padded, T(0));
    if (j >= n) std::fill(to + j * ld + begin, to + j * ld + shape.padded, T(0));
  }
  return exponent;
}

template int load_scaled(Source<double>, Shape<double>, double*);
template int load_scaled(Source<float>, Shape<float>, float*);

}  // namespace fastopt::linalg
