// Gradients whose squares a type cannot hold. What is formed of squares (sums, roots, bases) is computed of the gradient
// times a power of two, which changes no digit; where a rule's step does not depend on the gradient's unit, that is all.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "matrix/elements.hpp"

namespace fastopt::matrix {

// A power of two that takes `most`, which is finite, near 1.
template <class T>
T scale_of(T most) {
  constexpr int last = std::numeric_limits<T>::max_exponent - 2;
  return std::ldexp(T(1), std::clamp(most > T(0) ? -std::ilogb(most) : 0, -last, last));
}

// A power of two that takes elements of at most `most` to where sums of `summed` squares are finite. With `lift`, for rules
// without an epsilon, also to where the square of a unit in the last place of the largest is a number; an epsilon hides what
// is smaller. 1 in between.
template <class T>
T into_range(T most, std::int64_t summed, bool lift) {
  using Limits = std::numeric_limits<T>;
  if (!std::isfinite(most) || most == T(0)) return T(1);
  const int high = (Limits::max_exponent - 4 - static_cast<int>(std::bit_width(static_cast<std::uint64_t>(summed)))) / 2;
  constexpr int low = Limits::min_exponent / 2 + Limits::digits;
  const int now = std::ilogb(most) + 1;  // most < 2^now
  if (now > high) return std::ldexp(T(1), high - now);
  return lift && now < low ? std::ldexp(T(1), low - now) : T(1);
}

// The same of x itself. work: as many numbers as there are blocks.
template <class T>
void bring_into_range(const linalg::Team<T>& team, std::int64_t summed, bool lift, std::int64_t size, T* x, double* work) {
  const T by = into_range(largest(team, x, size, work), summed, lift);
  if (by != T(1)) scale(team, by, size, x);
}

}  // namespace fastopt::matrix
