// The read pass: size and finiteness of one block of a gradient, before anything is written.
//
// Blocks of 4096 elements of a tensor are summed in 16 double lanes and the blocks' sums are added in order, so the norm
// has the same bits for every level, thread count and grouping. A float cannot overflow its square in double; a double can:
// then the block is summed again with the three accumulators of Blue (ACM TOMS 4(1), 1978), as LAPACK's dnrm2 does. Every
// loop is vectorised, so that blocks of zeros or of tiny numbers cost about what others cost. A largest element is exact.
#pragma once
#include <cmath>
#include <limits>

#include "engine/walk.hpp"

namespace fastopt::engine {

enum class NormType : std::uint8_t { two, infinity };  // root of the sum of squares, largest magnitude

// What is learnt of a block, and of blocks together: what its norm needs, and whether the gradient may be used.
struct Magnitude {
  double small = 0, medium = 0, big = 0;  // for the 2-norm: squares of x * 2^537, x, x * 2^-538
  double most = 0;                        // for the infinity norm: the largest magnitude, NaN if there is one
  double risky = 0;                       // the largest magnitude, if a square or a multiple of it may overflow; else 0
  bool finite = true;

  Magnitude& operator+=(const Magnitude& other) {
    small += other.small;
    medium += other.medium;
    big += other.big;
    if (other.most > most || std::isnan(other.most)) most = other.most;
    risky = std::max(risky, other.risky);
    finite &= other.finite;
    return *this;
  }

  // The 2-norm may be beyond the largest double where no element is.
  Scale norm(NormType type) const {
    constexpr double scale_small = 0x1p-537, scale_big = 0x1p538;
    if (type == NormType::infinity) return Scale::of(most);
    if (big > 0 || std::isnan(big)) return Scale::of(std::sqrt(big + (medium / scale_big) / scale_big), 538);
    if (small > 0 && medium < 0x1p-900) return Scale::of(std::sqrt(small + (medium / scale_small) / scale_small), -537);
    return Scale::of(std::sqrt(medium));
  }
};

// No multiple that a rule forms of an element (rules::Reach) overflows, nor its square, while magnitudes are below this.
template <class T>
inline constexpr double harmless = sizeof(T) == 4 ? 0x1p60 : 0x1p480;

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

inline void blue(Magnitude& m, const double* x, std::int64_t n, double most) {
  constexpr double medium = 0x1p-511, big = 0x1p486, infinity = std::numeric_limits<double>::infinity();
  m.small = most > 0 ? part(x, n, 0, medium, 0x1p537) : 0;
  m.medium = most >= medium ? part(x, n, medium, big, 1) : 0;
  m.big = most >= big ? part(x, n, big, infinity, 0x1p-538) : 0;
}

template <class T>
inline void add_largest(Magnitude& m, const T* x, std::int64_t n) {
  m.most = static_cast<double>(largest(x, n));
  m.finite = m.finite && std::isfinite(m.most);
  if (m.finite && !(m.most < harmless<T>)) m.risky = m.most;
}

// The sum of squares tells, of ordinary gradients, that nothing is infinite or large.
template <class T>
inline void add_squares(Magnitude& m, const T* x, std::int64_t n) {
  Lanes lanes;
  lanes.add_squares(x, n);
  m.medium = lanes.total();
  if (m.medium < harmless<T> * harmless<T> && (sizeof(T) == 4 || m.medium > 0x1p-900)) return;
  const auto most = static_cast<double>(largest(x, n));
  m.finite = m.finite && std::isfinite(most);
  if (m.finite && !(most < harmless<T>)) m.risky = most;
  if constexpr (sizeof(T) == 8)
    if (std::isfinite(most)) blue(m, x, n, most);
}

// Elements [begin, end) of one tensor's gradient, at most sum_block of them.
template <class T>
inline Magnitude magnitude(const Gradient& gradient, const Constants<T>& constants, NormType type, std::int64_t begin,
                           std::int64_t end) {
  alignas(64) T buffer[sum_block];
  const std::int64_t n = end - begin;
  Magnitude m;
  Underway<T> x = raw_gradient(gradient, constants, begin, n, buffer);
  if (constants.clip_value) {
    m.finite = std::isfinite(largest(x.get(), n));  // clipping would hide an infinity
    x.clip(constants.limit);
  }
  if (type == NormType::infinity)
    add_largest(m, x.get(), n);
  else
    add_squares(m, x.get(), n);
  return m;
}

}  // namespace fastopt::engine
