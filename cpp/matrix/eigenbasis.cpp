#include "matrix/eigenbasis.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "linalg/eigh.hpp"
#include "matrix/orthonormal.hpp"
#include "matrix/products.hpp"
#include "matrix/range.hpp"

namespace fastopt::matrix {
namespace {

// to[i n + j] = from[j n + i]: from columns one behind the other to an array in C order. With `reversed` the last comes
// first.
template <class T>
void put_columns(const T* from, std::int64_t n, bool reversed, T* to) {
  constexpr std::int64_t block = 16;
  for (std::int64_t i0 = 0; i0 < n; i0 += block)
    for (std::int64_t j0 = 0; j0 < n; j0 += block)
      for (std::int64_t i = i0; i < std::min(i0 + block, n); ++i)
        for (std::int64_t j = j0; j < std::min(j0 + block, n); ++j) to[i * n + j] = from[(reversed ? n - 1 - j : j) * n + i];
}

// An eigenvector is given up to its sign: its largest entry shall be positive.
template <class T>
void choose_signs(T* vectors, std::int64_t n) {
  for (T* v = vectors; v < vectors + n * n; v += n) {
    const T largest = *std::max_element(v, v + n, [](T a, T b) { return std::abs(a) < std::abs(b); });
    if (largest < T(0))
      for (std::int64_t i = 0; i < n; ++i) v[i] = -v[i];
  }
}

template <class T>
void identity(T* q, std::int64_t n) {
  std::fill_n(q, n * n, T(0));
  for (std::int64_t j = 0; j < n; ++j) q[j * n + j] = T(1);
}

// estimates[j] = sum_i q[i n + j] p[j n + i], row by row of q.
template <class T>
void estimate(const T* q, const T* p, std::int64_t n, T* estimates) {
  constexpr std::int64_t block = 16;
  std::fill_n(estimates, n, T(0));
  for (std::int64_t i0 = 0; i0 < n; i0 += block)
    for (std::int64_t j = 0; j < n; ++j)
      for (std::int64_t i = i0; i < std::min(i0 + block, n); ++i) estimates[j] += q[i * n + j] * p[j * n + i];
}

}  // namespace

std::int64_t eigenbasis_work(std::int64_t n) { return 2 * n * n + n + orthonormal_work(n); }

template <class T>
void refresh_eigenbasis(const T* a, std::int64_t n, T* q, std::int64_t* order, T* work, const linalg::Team<T>& team) {
  T *product = work, *sorted = product + n * n, *estimates = sorted + n * n, *rest = estimates + n;
  const T most = engine::largest(a, n * n);
  std::iota(order, order + n, std::int64_t(0));
  if (!std::isfinite(most)) return std::fill_n(q, n * n, std::numeric_limits<T>::quiet_NaN()), void();
  multiply(team, n, n, n, scale_of(most), View<T>{a, 1, n}, View<T>{q, n, 1}, product, n);
  estimate(q, product, n, estimates);
  // NaN, of a basis that was, is in no order
  if (std::none_of(estimates, estimates + n, [](T x) { return std::isnan(x); }))
    std::stable_sort(order, order + n, [&](auto i, auto j) { return estimates[i] > estimates[j]; });
  for (std::int64_t j = 0; j < n; ++j) std::copy_n(product + order[j] * n, n, sorted + j * n);
  orthonormal_columns(sorted, n, product, rest, team);
  put_columns(product, n, false, q);
}

template <class T>
void first_eigenbasis(const T* a, std::int64_t n, T* q, std::int64_t* order, T* work, const linalg::Team<T>& team) {
  try {
    T *vectors = work, *values = vectors + n * n;
    // a team of one size gives the same bits whatever the threads; sharing pays from this order on (linalg/eigh.cpp)
    const linalg::Team<T> fixed(n < 512 ? 1 : 8);
    linalg::eigh(linalg::Source<T>{a, 1, n, true}, n, values, vectors, fixed, nullptr);
    choose_signs(vectors, n);
    put_columns(vectors, n, true, q);
  } catch (const std::domain_error&) {
    std::fill_n(q, n * n, std::numeric_limits<T>::quiet_NaN());
  } catch (const std::exception&) {
    identity(q, n);
    refresh_eigenbasis(a, n, q, order, work, team);
  }
}

template void first_eigenbasis(const float*, std::int64_t, float*, std::int64_t*, float*, const linalg::Team<float>&);
template void first_eigenbasis(const double*, std::int64_t, double*, std::int64_t*, double*, const linalg::Team<double>&);
template void refresh_eigenbasis(const float*, std::int64_t, float*, std::int64_t*, float*, const linalg::Team<float>&);
template void refresh_eigenbasis(const double*, std::int64_t, double*, std::int64_t*, double*, const linalg::Team<double>&);

}  // namespace fastopt::matrix
