#include "matrix/whitening.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/lanes.hpp"
#include "matrix/triangular.hpp"

namespace fastopt::matrix {
namespace {

constexpr double tiny = std::numeric_limits<float>::min();  // what keeps a norm of 0 from being divided by

// y = A x
template <class T>
void multiply_vector(const T* a, std::int64_t n, const double* x, double* y, const Team<T>& team) {
  team.split(n, 4, double(n) * double(n), [&](std::int64_t begin, std::int64_t end, linalg::Packs<T>&) {
    constexpr int lanes = engine::Lanes::count;
    for (std::int64_t i = begin; i < end; ++i) {
      engine::Lanes sum;
      std::int64_t j = 0;
      for (; j + lanes <= n; j += lanes)
        for (int l = 0; l < lanes; ++l) sum.lane[l] += double(a[i * n + j + l]) * x[j + l];
      for (int l = 0; j + l < n; ++l) sum.lane[l] += double(a[i * n + j + l]) * x[j + l];
      y[i] = sum.total();
    }
  });
}

double length(const double* x, std::int64_t n) { return std::sqrt(engine::dot(x, x, n)); }

// sums[i] = sum of the squares of what has index i along the side
template <class T>
void sum_squares(const T* x, const Side& side, double* sums, const Team<T>& team) {
  const std::int64_t n = side.length, after = side.after;
  team.split(n, 64, double(side.before * n * after), [&](std::int64_t begin, std::int64_t end, linalg::Packs<T>&) {
    std::fill(sums + begin, sums + end, 0.0);
    for (std::int64_t b = 0; b < side.before; ++b) {
      const T* const of = x + b * n * after;
      for (std::int64_t i = begin; i < end; ++i) {
        if (after == 1) {
          sums[i] += double(of[i]) * double(of[i]);
        } else {
          engine::Lanes lanes;
          lanes.add_squares(of + i * after, after);
          sums[i] += lanes.total();
        }
      }
    }
  });
}

template <class T>
void whiten_diagonal(const Side& side, const T* a, const T* b, double rate, T* q, double* vectors, const Team<T>& team) {
  const std::int64_t n = side.length;
  double *const of_a = vectors, *const of_b = vectors + n, most = 0;
  sum_squares(a, side, of_a, team);
  sum_squares(b, side, of_b, team);
  for (std::int64_t i = 0; i < n; ++i)
    if (const double sum = of_a[i] + of_b[i]; !(sum <= most)) most = sum;  // NaN stays: it is larger than none
  for (std::int64_t i = 0; i < n; ++i) q[i] -= static_cast<T>(rate * (of_a[i] - of_b[i]) / (most + tiny)) * q[i];
}

template <class T>
void whiten_triangular(const Side& side, const T* a, const T* b, double rate, T* q, const WhiteningWork<T>& work,
                       const Team<T>& team) {
  const std::int64_t n = side.length;
  T *const difference = work.first, *const sum = work.second;
  std::fill_n(difference, n * n, T(0));
  std::fill_n(sum, n * n, T(0));
  add_gram(a, side, T(0), T(1), difference, team);
  add_gram(b, side, T(0), T(1), sum, team);
  const auto each_row = [&](auto&& f) {
    team.split(n, 16, double(n) * double(n), [&](std::int64_t begin, std::int64_t end, linalg::Packs<T>&) {
      for (std::int64_t i = begin; i < end; ++i) f(i, i * n);
    });
  };
  each_row([&](std::int64_t i, std::int64_t at) {
    for (std::int64_t k = at; k < at + n; ++k) {
      const T of_a = difference[k], of_b = sum[k];
      difference[k] = k < at + i ? T(0) : of_a - of_b;
      sum[k] = of_a + of_b;
    }
  });
  const T step = static_cast<T>(rate / (norm_lower_bound(sum, n, work.vectors, team) + tiny));
  T* const change = sum;
  multiply_upper(q, {1, n, n, 0, n}, difference, false, change, team);
  each_row([&](std::int64_t i, std::int64_t at) {
    for (std::int64_t k = at + i; k < at + n; ++k) q[k] -= step * change[k];
  });
}

}  // namespace

template <class T>
double norm_lower_bound(const T* a, std::int64_t n, double* work, const Team<T>& team) {
  double *const sums = work, *const x = work + n, *const y = work + 2 * n;
  sum_squares(a, {1, n, n, 0, n}, sums, team);
  const std::int64_t row = std::max_element(sums, sums + n) - sums;
  std::copy_n(a + row * n, n, x);
  multiply_vector(a, n, x, y, team);
  const double of_y = length(y, n);
  for (std::int64_t i = 0; i < n; ++i) y[i] /= std::max(of_y, tiny);
  multiply_vector(a, n, y, x, team);
  return length(x, n);
}

template <class T>
void whiten(const Factors::Factor& factor, const T* a, const T* b, double rate, T* q, const WhiteningWork<T>& work,
            const Team<T>& team) {
  if (factor.diagonal)
    whiten_diagonal(factor.side, a, b, rate, q, work.vectors, team);
  else
    whiten_triangular(factor.side, a, b, rate, q, work, team);
}

template double norm_lower_bound(const float*, std::int64_t, double*, const Team<float>&);
template double norm_lower_bound(const double*, std::int64_t, double*, const Team<double>&);
template void whiten(const Factors::Factor&, const float*, const float*, double, float*, const WhiteningWork<float>&,
                     const Team<float>&);
template void whiten(const Factors::Factor&, const double*, const double*, double, double*, const WhiteningWork<double>&,
                     const Team<double>&);

}  // namespace fastopt::matrix
