#include "linalg/jacobi.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "linalg/jacobi_rotation.hpp"

namespace fastopt::linalg {
namespace {

// Ten are usual for two-sided Jacobi, six for one-sided.
constexpr int sweep_limit = 60;

// Columns contiguous, both triangles, times 2^-exponent: the largest entry has half the range of exponents above it for
// squares, and all the rest below for graded matrices. Returns exponent.
template <class T>
int load_square(Source<T> s, std::int64_t n, T* to) {
  constexpr int target = Bits<T>::bias / 2 - 16;
  if (!s.lower) std::swap(s.row, s.column);
  T most = 0, poison = 0;
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j <= i; ++j) {
      const T x = s.a[i * s.row + j * s.column];
      most = std::max(most, std::abs(x));
      poison += zero_if_finite(x);
      to[i * n + j] = x;
    }
  if (poison != T(0)) throw std::domain_error(not_finite);
  int exponent = 0;
  if (most > T(0)) std::frexp(most, &exponent);
  exponent -= target;
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j <= i; ++j) to[j * n + i] = to[i * n + j] = std::ldexp(to[i * n + j], -exponent);
  return exponent;
}

// Rows and columns p and q change places.
template <class T>
void interchange(T* a, std::int64_t n, std::int64_t p, std::int64_t q) {
  std::swap_ranges(a + p * n, a + p * n + n, a + q * n);
  for (std::int64_t k = 0; k < n; ++k) std::swap(a[k * n + p], a[k * n + q]);
}

// A = G G', G's columns a triangle but for the order of rows. False, and A is lost, if a pivot is not positive.
template <class T>
bool cholesky(T* a, std::int64_t n, Interrupt interrupt) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  for (std::int64_t j = 0; j < n; ++j) {
    if (j % 64 == 63) poll(interrupt);
    std::int64_t pivot = j;
    for (std::int64_t k = j + 1; k < n; ++k)
      if (a[k * n + k] > a[pivot * n + pivot]) pivot = k;
    if (!(a[pivot * n + pivot] > T(0))) return false;
    if (pivot != j) interchange(a, n, j, pivot), std::swap(order[std::size_t(j)], order[std::size_t(pivot)]);
    T* column = a + j * n;
    const T diagonal = std::sqrt(column[j]);
    for (std::int64_t i = j; i < n; ++i) column[i] = i == j ? diagonal : column[i] / diagonal;
    for (std::int64_t k = j + 1; k < n; ++k) {
      const T factor = column[k];
      for (std::int64_t i = j + 1; i < n; ++i) a[k * n + i] -= factor * column[i];
    }
  }
  std::vector<T> row(static_cast<std::size_t>(n));
  for (std::int64_t j = 0; j < n; ++j) {
    std::fill(row.begin(), row.end(), T(0));
    for (std::int64_t i = j; i < n; ++i) row[std::size_t(order[std::size_t(i)])] = a[j * n + i];
    std::copy(row.begin(), row.end(), a + j * n);
  }
  return true;
}

// Rotates the columns of G until all are orthogonal to working accuracy. False if they did not become so.
template <class T>
bool one_sided(T* g, std::int64_t n, Interrupt interrupt) {
  const T tolerance = std::numeric_limits<T>::epsilon() * std::sqrt(T(n));
  for (int sweep = 0; sweep < sweep_limit; ++sweep) {
    bool rotated = false;
    for (std::int64_t p = 0; p < n; ++p) {
      if (p % 32 == 31) poll(interrupt);
      for (std::int64_t q = p + 1; q < n; ++q) {
        const Products<T> of(g + p * n, g + q * n, n);
        if (!(std::abs(of.xy) > tolerance * std::sqrt(of.xx) * std::sqrt(of.yy))) continue;
        Rotation<T>(of.xx, of.xy, of.yy).apply(g + p * n, g + q * n, n);
        rotated = true;
      }
    }
    if (!rotated) return true;
  }
  return false;
}

// a[q][p] becomes zero; both triangles are kept.
template <class T>
void rotate_both(T* a, std::int64_t n, std::int64_t p, std::int64_t q, const Rotation<T>& rotation) {
  const T pq = a[p * n + q], pp = a[p * n + p] - rotation.t * pq, qq = a[q * n + q] + rotation.t * pq;
  rotation.apply(a + p * n, a + q * n, n);
  a[p * n + p] = pp;
  a[q * n + q] = qq;
  a[p * n + q] = a[q * n + p] = T(0);
  for (std::int64_t k = 0; k < n; ++k) {
    a[k * n + p] = a[p * n + k];
    a[k * n + q] = a[q * n + k];
  }
}

// Rotates rows and columns of A until it is diagonal; V (may be null) becomes the vectors.
template <class T>
bool two_sided(T* a, std::int64_t n, T* v, Interrupt interrupt) {
  constexpr T eps = std::numeric_limits<T>::epsilon(), floor = std::numeric_limits<T>::min() / eps;
  if (v) std::fill_n(v, n * n, T(0));
  for (std::int64_t j = 0; v && j < n; ++j) v[j * n + j] = T(1);
  for (int sweep = 0; sweep < sweep_limit; ++sweep) {
    bool rotated = false;
    for (std::int64_t p = 0; p < n; ++p) {
      if (p % 32 == 31) poll(interrupt);
      for (std::int64_t q = p + 1; q < n; ++q) {
        const T pp = a[p * n + p], pq = a[p * n + q], qq = a[q * n + q];
        if (std::abs(pq) <= eps * std::sqrt(std::abs(pp)) * std::sqrt(std::abs(qq)) + floor) continue;
        const Rotation<T> rotation(pp, pq, qq);
        rotate_both(a, n, p, q, rotation);
        if (v) rotation.apply(v + p * n, v + q * n, n);
        rotated = true;
      }
    }
    if (!rotated) return true;
  }
  return false;
}

// Ascending; columns move along.
template <class T>
void sort(T* w, std::int64_t n, T* v) {
  for (std::int64_t i = 0; i + 1 < n; ++i) {
    const std::int64_t k = std::min_element(w + i, w + n) - w;
    if (k == i) continue;
    std::swap(w[i], w[k]);
    if (v) std::swap_ranges(v + i * n, v + i * n + n, v + k * n);
  }
}

template <class T>
void unit_columns(const T* g, std::int64_t n, T* w, T* v) {
  for (std::int64_t j = 0; j < n; ++j) {
    const T* column = g + j * n;
    w[j] = Products<T>(column, column, n).xx;
    const T length = std::sqrt(w[j]);
    for (std::int64_t i = 0; v && i < n; ++i) v[j * n + i] = column[i] / length;
  }
}

}  // namespace

template <class T>
void jacobi_eigh(Source<T> source, std::int64_t n, T* w, T* v, Interrupt interrupt) {
  if (n == 0) return;
  const Buffer<T> a(n * n);
  int exponent = load_square(source, n, a.get());
  if (cholesky(a.get(), n, interrupt) && one_sided(a.get(), n, interrupt)) {
    unit_columns(a.get(), n, w, v);
  } else {
    exponent = load_square(source, n, a.get());
    if (!two_sided(a.get(), n, v, interrupt)) throw std::runtime_error("eigh: Jacobi's method did not converge");
    for (std::int64_t j = 0; j < n; ++j) w[j] = a[j * n + j];
  }
  sort(w, n, v);
  for (std::int64_t j = 0; j < n; ++j) w[j] = std::ldexp(w[j], exponent);
}

template void jacobi_eigh(Source<double>, std::int64_t, double*, double*, Interrupt);
template void jacobi_eigh(Source<float>, std::int64_t, float*, float*, Interrupt);

}  // namespace fastopt::linalg
