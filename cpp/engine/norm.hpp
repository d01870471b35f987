// The read pass: sum of squares and finiteness of one block of a gradient, before anything is written.
//
// Blocks of 4096 elements of a tensor are summed in 16 double lanes and the blocks' sums are added in order, so the norm
// has the same bits for every level, thread count and grouping. A float cannot overflow its square in double; a double can:
// then the block is summed again with the three accumulators of Blue (ACM TOMS 4(1), 1978), as LAPACK's dnrm2 does.
#pragma once
#include <cmath>
#include <limits>

#include "engine/walk.hpp"

namespace fastopt::engine {

inline constexpr std::int64_t sum_block = 4096;

struct SquareSum {
  double small = 0, medium = 0, big = 0;  // squares of x * 2^537, x, x * 2^-538
  bool finite = true;

  SquareSum& operator+=(const SquareSum& other) {
    small += other.small;
    medium += other.medium;
    big += other.big;
    finite &= other.finite;
    return *this;
  }

  double norm() const {
    constexpr double scale_small = 0x1p-537, scale_big = 0x1p538;
    if (big > 0 || std::isnan(big)) return std::sqrt(big + (medium / scale_big) / scale_big) * scale_big;
    if (small > 0 && medium < 0x1p-900) return std::sqrt(small + (medium / scale_small) / scale_small) * scale_small;
    return std::sqrt(medium);
  }
};

template <class T>
inline bool all_finite(const T* x, std::int64_t n) {
  int bad = 0;
  for (std::int64_t i = 0; i < n; ++i) bad |= !(std::abs(x[i]) <= std::numeric_limits<T>::max());
  return bad == 0;
}

inline SquareSum blue(const double* x, std::int64_t n) {
  SquareSum sum;
  for (std::int64_t i = 0; i < n; ++i) {
    const double size = std::abs(x[i]);
    if (size > 0x1p486) {
      const double s = size * 0x1p-538;
      sum.big += s * s;
    } else if (size < 0x1p-511) {
      const double s = size * 0x1p537;
      sum.small += s * s;
    } else {
      sum.medium += size * size;
    }
  }
  return sum;
}

// Elements [begin, end) of one tensor's gradient, at most sum_block of them.
template <class T>
inline SquareSum square_sum(const Gradient& gradient, const Pass<T>& pass, std::int64_t begin, std::int64_t end) {
  alignas(64) T buffer[sum_block];
  const std::int64_t n = end - begin;
  const bool in_place = gradient.dense && gradient.dtype == dtype_of<T> && !pass.unscale && !pass.clip_value;
  const T* x = reinterpret_cast<const T*>(gradient.data) + begin;
  SquareSum sum;
  if (!in_place) {
    raw_gradient(gradient, pass, begin, n, buffer);
    if (pass.clip_value) {
      sum.finite = all_finite(buffer, n);  // clipping would hide an infinity
      block::clip(buffer, n, pass.limit);
    }
    x = buffer;
  }
  Lanes lanes;
  lanes.add_squares(x, n);
  sum.medium = lanes.total();
  if constexpr (sizeof(T) == 4) {
    sum.finite = sum.finite && std::isfinite(sum.medium);
  } else if (!(sum.medium < 0x1p1000 && sum.medium > 0x1p-900)) {
    const bool finite = sum.finite && all_finite(x, n);
    if (finite) sum = blue(x, n);
    sum.finite = finite;
  }
  return sum;
}

}  // namespace fastopt::engine
