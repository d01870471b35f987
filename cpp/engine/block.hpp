// What may happen to a block besides its rule: branch-free loops over elements that stay in L1.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "engine/independent.hpp"
#include "rules/rule.hpp"

namespace fastopt::engine {

namespace block {

// Of x, to an array that may be the same and is returned.
template <class T>
T* multiply(const T* x, T* to, std::int64_t n, T by) {
  FASTOPT_INDEPENDENT
  for (std::int64_t i = 0; i < n; ++i) to[i] = by * x[i];
  return to;
}
template <class T>
T* clip(const T* x, T* to, std::int64_t n, T limit) {  // NaN stays NaN
  FASTOPT_INDEPENDENT
  for (std::int64_t i = 0; i < n; ++i) to[i] = x[i] > limit ? limit : x[i] < -limit ? -limit : x[i];
  return to;
}
template <class T>
T* negate(const T* x, T* to, std::int64_t n) {
  FASTOPT_INDEPENDENT
  for (std::int64_t i = 0; i < n; ++i) to[i] = -x[i];
  return to;
}
template <class T>
T* add_scaled(const T* x, const T* y, T* to, std::int64_t n, T by) {
  FASTOPT_INDEPENDENT
  for (std::int64_t i = 0; i < n; ++i) to[i] = x[i] + by * y[i];
  return to;
}
template <class T>
T* add_sign(const T* x, const T* y, T* to, std::int64_t n, T by) {
  FASTOPT_INDEPENDENT
  for (std::int64_t i = 0; i < n; ++i) to[i] = x[i] + by * rules::sign(y[i]);
  return to;
}
template <class T>
void subtract(T* x, T y, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) x[i] -= y;
}
template <class T>
void move_towards(T* __restrict x, const T* __restrict y, std::int64_t n, T by) {
  for (std::int64_t i = 0; i < n; ++i) x[i] += by * (y[i] - x[i]);
}
template <class T>
void soft_threshold(T* x, std::int64_t n, T by) {
  for (std::int64_t i = 0; i < n; ++i) {
    const T size = std::abs(x[i]) - by;
    x[i] = size > T(0) ? std::copysign(size, x[i]) : size <= T(0) ? T(0) : x[i];
  }
}
// keep + take = 1: from the end that is nearer, as rules::ema, so that weights at rest are their own average to the last
// bit. Products before differences: their terms are halves at most, so nothing overflows.
template <class T>
void average(T* __restrict mean, const T* __restrict x, std::int64_t n, T keep, T take) {
  if (take < keep)
    for (std::int64_t i = 0; i < n; ++i) mean[i] += take * x[i] - take * mean[i];
  else
    for (std::int64_t i = 0; i < n; ++i) mean[i] = x[i] - (keep * x[i] - keep * mean[i]);
}
// A term with the coefficient 0 is left out: the gradient, or its square alone, may be infinite, and theta as well.
template <class T>
void start(T* __restrict state, const T* __restrict theta, const T* __restrict g, std::int64_t n, const rules::Start& s) {
  const T c = static_cast<T>(s.constant), a = static_cast<T>(s.gradient), b = static_cast<T>(s.gradient_squared),
          p = static_cast<T>(s.parameter);
  std::fill_n(state, n, c);
  if (p != T(0))
    for (std::int64_t i = 0; i < n; ++i) state[i] += p * theta[i];
  if (a != T(0))
    for (std::int64_t i = 0; i < n; ++i) state[i] += a * g[i];
  if (b != T(0))
    for (std::int64_t i = 0; i < n; ++i) state[i] += b * (g[i] * g[i]);
}

}  // namespace block

}  // namespace fastopt::engine
