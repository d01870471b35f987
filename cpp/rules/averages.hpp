// Exponentially weighted moving averages, of gradients and of their squares.
#pragma once
#include <bit>
#include <cstdint>
#include <limits>

#include "rules/bias_correction.hpp"

namespace fastopt::rules {

// They are m + (1 - beta) (x - m), with 1 - beta formed in double: a constant is a fixed point to the last bit. The rounded
// weights of beta m + (1 - beta) x do not sum to 1, and it drifts (in float32 at beta = 0.9999 by 1.7e-4). For a small beta
// it is the other way round: little drifts, but m + (1 - beta) (x - m) cancels all but beta m of an m that is much larger
// than x, and with it the digits (at beta = 1e-8 in float32 all of them). Below `small_beta` the average is
// beta m + (1 - beta) x, by the same operations with other coefficients.
template <class T>
struct Average {
  T rest, keep, near;  // keep m + rest (x - near m)

  bool plain() const { return keep == T(1) && near == T(1); }
  void make_plain() { keep = near = T(1); }
};

inline constexpr double small_beta = 0.0625;

inline Average<double> average(double beta) {
  if (beta < small_beta) return {1 - beta, beta, 0};
  return {1 - beta, 1, 1};
}

// An average that lacks nothing: with beta (1 - beta^(t-1)) / (1 - beta^t) for beta it is the corrected one at every step.
inline Average<double> mean_so_far(double beta, std::int64_t t) {
  const double missing = bias_correction(beta, t), now = beta * (bias_correction(beta, t - 1) / missing);
  if (now < small_beta) return {(1 - beta) / missing, now, 0};
  return {(1 - beta) / missing, 1, 1};
}

// Where x and m are of opposite sign and beyond half the largest number, x - m overflows and the average with it.
template <class T>
inline T ema(T m, T x, const Average<T>& a) {
  return a.keep * m + a.rest * (x - a.near * m);
}

// The smaller of two of which neither is negative: such numbers are in the order of their bits, as integers, which are
// compared and chosen by one operation instead of two. Of a NaN it is the other one.
template <class Bits, class T>
inline T smaller_by_bits(T a, T b) {
  const auto x = std::bit_cast<Bits>(a), y = std::bit_cast<Bits>(b);
  return std::bit_cast<T>(y < x ? y : x);
}
inline float smaller_magnitude(float a, float b) { return smaller_by_bits<std::int32_t>(a, b); }
inline double smaller_magnitude(double a, double b) { return smaller_by_bits<std::int64_t>(a, b); }

// The same of squares, which overflow far sooner: infinity stays infinity, and is no NaN by infinity - infinity.
template <class T>
inline T ema_squares(T v, T x, const Average<T>& a) {
  return a.keep * v + a.rest * (x - smaller_magnitude(v, a.near * std::numeric_limits<T>::max()));
}

// beta m, also where beta is so near to 1 that little of the difference is left once it is rounded: m - (1 - beta) m.
template <class T>
inline T decayed(T m, const Average<T>& a) {
  return a.keep * m - a.rest * (a.near * m);
}

}  // namespace fastopt::rules
