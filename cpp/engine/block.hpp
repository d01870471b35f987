// What may happen to a block besides its rule: branch-free loops over elements that stay in L1.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "rules/rule.hpp"

namespace fastopt::engine {

namespace block {

template <class T>
void clip(T* x, std::int64_t n, T limit) {  // NaN stays NaN
  for (std::int64_t i = 0; i < n; ++i) x[i] = x[i] > limit ? limit : x[i] < -limit ? -limit : x[i];
}
template <class T>
void negate(T* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = -x[i];
}
template <class T>
void subtract(T* x, T y, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) x[i] -= y;
}
template <class T>
void add_scaled(T* __restrict x, const T* __restrict y, std::int64_t n, T by) {
  for (std::int64_t i = 0; i < n; ++i) x[i] += by * y[i];
}
template <class T>
void add_sign(T* __restrict x, const T* __restrict y, std::int64_t n, T by) {
  for (std::int64_t i = 0; i < n; ++i) x[i] += by * rules::sign(y[i]);
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
// Of steps (what is added to theta) that go down their gradient, there are so many.
template <class T>
std::int64_t count_agreeing(const T* step, const T* g, std::int64_t n) {
  using Count = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;  // as wide as what is compared
  Count count = 0;
  for (std::int64_t i = 0; i < n; ++i)
    count += static_cast<Count>(((step[i] < T(0)) & (g[i] > T(0))) | ((step[i] > T(0)) & (g[i] < T(0))));
  return count;
}
// The others become 0, these longer. NaN on either side stays to be seen.
template <class T>
void keep_agreeing(T* __restrict step, const T* __restrict g, std::int64_t n, T magnify) {
  for (std::int64_t i = 0; i < n; ++i) {
    const bool against = ((step[i] >= T(0)) & (g[i] >= T(0))) | ((step[i] <= T(0)) & (g[i] <= T(0)));
    step[i] = against ? T(0) : magnify * step[i];
  }
}
template <class T>
void decay(T* theta, std::int64_t n, T by) {
  for (std::int64_t i = 0; i < n; ++i) theta[i] -= by * theta[i];
}
// The same, but not where the step takes theta away from 0.
template <class T>
void decay_cautiously(T* __restrict theta, const T* __restrict step, std::int64_t n, T by) {
  for (std::int64_t i = 0; i < n; ++i) {
    const bool away = ((step[i] > T(0)) & (theta[i] > T(0))) | ((step[i] < T(0)) & (theta[i] < T(0)));
    theta[i] -= away ? T(0) : by * theta[i];
  }
}
// A term with the coefficient 0 is left out: the gradient, or its square alone, may be infinite.
template <class T>
void start(T* __restrict state, const T* __restrict g, std::int64_t n, const rules::Start& s) {
  const T c = static_cast<T>(s.constant), a = static_cast<T>(s.gradient), b = static_cast<T>(s.gradient_squared);
  std::fill_n(state, n, c);
  if (a != T(0))
    for (std::int64_t i = 0; i < n; ++i) state[i] += a * g[i];
  if (b != T(0))
    for (std::int64_t i = 0; i < n; ++i) state[i] += b * (g[i] * g[i]);
}

}  // namespace block

}  // namespace fastopt::engine
