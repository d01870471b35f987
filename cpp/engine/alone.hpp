// A rule's step by itself, before it is taken: of a rule that is run on zeros it is what is then there.
#pragma once
#include <cstdint>
#include <type_traits>

#include "engine/constants.hpp"

namespace fastopt::engine {

namespace block {

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

}  // namespace block

// Decay and step, cautiously if so asked; `step` is overwritten.
template <class T>
inline void take_step(T* __restrict theta, T* __restrict step, const T* g, std::int64_t n, const Constants<T>& c) {
  if (c.decay_by != T(0)) {
    if (c.cautious_decay)
      block::decay_cautiously(theta, step, n, c.decay_by);
    else
      block::decay(theta, n, c.decay_by);
  }
  if (c.cautious) block::keep_agreeing(step, g, n, c.magnify);
  for (std::int64_t i = 0; i < n; ++i) theta[i] += step[i];
}

}  // namespace fastopt::engine
