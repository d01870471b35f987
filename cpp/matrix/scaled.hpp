// Arrays that are kept near 1, with the power of two that they stand for beside them: what is formed of them may be beyond
// their type.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "matrix/elements.hpp"

namespace fastopt::matrix {

template <class T>
struct Scaled {
  T* data;
  int exponent = 0;  // the numbers are data times 2^exponent

  // The data times 2^by; 0 where that is nothing.
  void shift(const linalg::Team<T>& team, std::int64_t size, int by) const {
    if (by == 0) return;
    const double factor = std::ldexp(1.0, by);
    T* const x = data;
    for_blocks(team, size, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) x[i] = static_cast<T>(double(x[i]) * factor);
    });
  }
  // The largest element near 1; 0, NaN and infinity stay. Returns what was the largest. work: as many numbers as there are
  // blocks.
  T normalise(const linalg::Team<T>& team, std::int64_t size, double* work) {
    const T most = largest(team, data, size, work);
    if (!std::isfinite(most) || most == T(0)) return most;
    const int by = std::clamp(std::ilogb(most), -1000, 1000);  // 2^-by is a double
    shift(team, size, -by);
    exponent += by;
    return most;
  }
};

}  // namespace fastopt::matrix
