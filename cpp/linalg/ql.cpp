#include "linalg/ql.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linalg/simd.hpp"

namespace fastopt::linalg {
namespace {

// Columns left, right <- (c left - s right, s left + c right): the rotation that a QL step applies to the vectors.
template <class T>
inline void rotate(T* left, T* right, std::int64_t rows, T c, T s) {
  std::int64_t i = 0;
  for (; i + lanes<T> <= rows; i += lanes<T>) {
    const Vec<T> l = load(left + i), r = load(right + i);
    store(right + i, s * l + c * r);
    store(left + i, c * l - s * r);
  }
  for (; i < rows; ++i) {
    const T l = left[i], r = right[i];
    right[i] = s * l + c * r;
    left[i] = c * l - s * r;
  }
}

// An off-diagonal entry that its neighbours, or the whole matrix, do not feel. The second term keeps the squares in a
// sweep away from underflow on graded matrices.
template <class T>
bool negligible(T e, T left, T right, T norm) {
  constexpr T eps = std::numeric_limits<T>::epsilon();
  return std::abs(e) <= eps / 2 * std::sqrt(std::abs(left)) * std::sqrt(std::abs(right)) + eps * eps * norm;
}

// One implicit sweep from m up to l (Golub and Van Loan, section 8.3.3, run from the bottom).
template <class T>
void sweep(T* d, T* e, std::int64_t l, std::int64_t m, T* vectors, std::int64_t rows, std::int64_t ld) {
  constexpr T unsafe = sizeof(T) == 8 ? T(1e-140) : T(1e-12);  // squares below this are not full numbers
  T g = (d[l + 1] - d[l]) / (2 * e[l]);
  T r = std::hypot(g, T(1));
  g = d[m] - d[l] + e[l] / (g + std::copysign(r, g));
  T s = 1, c = 1, p = 0;
  for (std::int64_t i = m - 1; i >= l; --i) {
    const T f = s * e[i], b = c * e[i];
    r = std::sqrt(f * f + g * g);
    if (r < unsafe) r = std::hypot(f, g);
    e[i + 1] = r;
    if (r == T(0)) {  // f and g underflowed together: the matrix splits here
      d[i + 1] -= p;
      e[m] = T(0);
      return;
    }
    s = f / r;
    c = g / r;
    g = d[i + 1] - p;
    r = (d[i] - g) * s + 2 * c * b;
    p = s * r;
    d[i + 1] = g + p;
    g = c * r - b;
    if (vectors) rotate(vectors + i * ld, vectors + (i + 1) * ld, rows, c, s);
  }
  d[l] -= p;
  e[l] = g;
  e[m] = T(0);
}

template <class T>
void sort(T* d, std::int64_t n, T* vectors, std::int64_t rows, std::int64_t ld) {
  if (!vectors) return std::sort(d, d + n);
  for (std::int64_t i = 0; i + 1 < n; ++i) {
    const std::int64_t k = std::min_element(d + i, d + n) - d;
    if (k == i) continue;
    std::swap(d[i], d[k]);
    std::swap_ranges(vectors + i * ld, vectors + i * ld + rows, vectors + k * ld);
  }
}

}  // namespace

template <class T>
bool ql(T* d, T* e, std::int64_t n, T* vectors, std::int64_t rows, std::int64_t ld) {
  T norm = 0;
  for (std::int64_t i = 0; i < n; ++i) norm = std::max({norm, std::abs(d[i]), i + 1 < n ? std::abs(e[i]) : T(0)});
  for (std::int64_t l = 0; l < n; ++l)
    for (int sweeps = 0;; ++sweeps) {
      std::int64_t m = l;
      while (m + 1 < n && !negligible(e[m], d[m], d[m + 1], norm)) ++m;
      if (m == l) break;
      if (sweeps == 60) return false;
      sweep(d, e, l, m, vectors, rows, ld);
    }
  sort(d, n, vectors, rows, ld);
  return true;
}

template bool ql(double*, double*, std::int64_t, double*, std::int64_t, std::int64_t);
template bool ql(float*, float*, std::int64_t, float*, std::int64_t, std::int64_t);

}  // namespace fastopt::linalg
