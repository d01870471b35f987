// The read pass: sum of squares and finiteness of one block of a gradient, before anything is written.
//
// Blocks of 4096 elements of a tensor are summed in 16 double lanes and the blocks' sums are added in order, so the norm
// has the same bits for every level, thread count and grouping. A float cannot overflow its square in double; a double can:
// then the block is summed again with the three accumulators of Blue (ACM TOMS 4(1), 1978), as LAPACK's dnrm2 does. Every
// loop is vectorised, so that blocks of zeros or of tiny numbers cost about what others cost.
#pragma once
#include <cmath>
#include <limits>

#include "engine/walk.hpp"

namespace fastopt::engine {

struct SquareSum {
  double small = 0, medium = 0, big = 0;  // squares of x * 2^537, x, x * 2^-538
  double largest = 0;                     // magnitude, if a square or a multiple of it may overflow; else 0
  bool finite = true;

  SquareSum& operator+=(const SquareSum& other) {
    small += other.small;
    medium += other.medium;
    big += other.big;
    largest = std::max(largest, other.largest);
    finite &= other.finite;
    return *this;
  }

  double norm() const { return scaled().value(); }

  // The norm may be beyond the largest double where no element is.
  Scale scaled() const {
    constexpr double scale_small = 0x1p-537, scale_big = 0x1p538;
    if (big > 0 || std::isnan(big)) return Scale::of(std::sqrt(big + (medium / scale_big) / scale_big), 538);
    if (small > 0 && medium < 0x1p-900) return Scale::of(std::sqrt(small + (medium / scale_small) / scale_small), -537);
    return Scale::of(std::sqrt(medium));
  }
};

template <class T>
inline bool all_finite(const T* x, std::int64_t n) {
  int bad = 0;
  for (std::int64_t i = 0; i < n; ++i) bad |= !(std::abs(x[i]) <= std::numeric_limits<T>::max());
  return bad == 0;
}

// The squares of scale * x for the elements of magnitude [from, below).
inline double part(const double* x, std::int64_t n, double from, double below, double scale) {
  constexpr std::int64_t piece = 512;
  alignas(64) double chosen[piece];
  Lanes lanes;
  for (std::int64_t at = 0; at < n; at += piece) {
    const std::int64_t count = std::min(piece, n - at);
    for (std::int64_t i = 0; i < count; ++i) {
      const double size = std::abs(x[at + i]), scaled = size * scale;
      chosen[i] = size >= from ? scaled : 0;
      chosen[i] = size < below ? chosen[i] : 0;
    }
    lanes.add_squares(chosen, count);
  }
  return lanes.total();
}

inline SquareSum blue(const double* x, std::int64_t n, double most) {
  constexpr double medium = 0x1p-511, big = 0x1p486, infinity = std::numeric_limits<double>::infinity();
  SquareSum sum;
  if (most == 0) return sum;
  sum.small = part(x, n, 0, medium, 0x1p537);
  if (most >= medium) sum.medium = part(x, n, medium, big, 1);
  if (most >= big) sum.big = part(x, n, big, infinity, 0x1p-538);
  return sum;
}

// Elements [begin, end) of one tensor's gradient, at most sum_block of them.
template <class T>
inline SquareSum square_sum(const Gradient& gradient, const Constants<T>& constants, std::int64_t begin, std::int64_t end) {
  alignas(64) T buffer[sum_block];
  const std::int64_t n = end - begin;
  const bool in_place = gradient.dense && gradient.dtype == dtype_of<T> && !constants.unscale && !constants.clip_value;
  const T* x = reinterpret_cast<const T*>(gradient.data) + begin;
  SquareSum sum;
  if (!in_place) {
    raw_gradient(gradient, constants, begin, n, buffer);
    if (constants.clip_value) {
      sum.finite = all_finite(buffer, n);  // clipping would hide an infinity
      block::clip(buffer, n, constants.limit);
    }
    x = buffer;
  }
  Lanes lanes;
  lanes.add_squares(x, n);
  sum.medium = lanes.total();
  // no multiple that a rule forms of an element (rules::Reach) overflows, nor its square, while the sum is below this
  constexpr double harmless = sizeof(T) == 4 ? 0x1p120 : 0x1p960;
  if constexpr (sizeof(T) == 4) {
    sum.finite = sum.finite && std::isfinite(sum.medium);
    if (sum.finite && !(sum.medium < harmless)) sum.largest = static_cast<double>(largest(x, n));
  } else if (!(sum.medium < harmless && sum.medium > 0x1p-900)) {
    sum.finite = sum.finite && (std::isfinite(sum.medium) || all_finite(x, n));
    if (sum.finite) {
      const double most = largest(x, n);
      sum = blue(x, n, most);
      if (!(most < 0x1p480)) sum.largest = most;
    }
  }
  return sum;
}

}  // namespace fastopt::engine
