// Half-precision numbers that keep what rounding leaves out, or round at random: blocks in and out.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "engine/convert.hpp"
#include "engine/dither.hpp"
#include "engine/encoding.hpp"

namespace fastopt::engine {

namespace storing {

// A number with its rest, where the two round to the number, a tie either way. Else it was written from outside since the
// rest was left, which is void then: what a weight was set to is what it is.
template <class S>
inline float with_rest(float value, float rest) {
  constexpr std::uint32_t half_unit = std::is_same_v<S, Bf16> ? 0x8000 : 0x1000;  // no more: subnormal numbers leave no rest
  const float sum = value + rest;
  const std::uint32_t away = std::bit_cast<std::uint32_t>(sum) - std::bit_cast<std::uint32_t>(value) + half_unit;
  return away <= 2 * half_unit ? sum : value;
}

template <class S, class T>
inline void load_sum(const Stored& s, std::int64_t at, std::int64_t n, T* __restrict to) {
  const S* __restrict values = s.at<S>(at);
  const S* __restrict rest = reinterpret_cast<const S*>(s.second) + at;
  for (std::int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(with_rest<S>(widen(values[i]), widen(rest[i])));
}
// What is not finite leaves no rest: infinity minus itself would make a NaN of an infinity. Two plain loops: in one the
// compiler makes branches of what is chosen, and vectors of nothing.
template <class S, class T>
inline void store_sum(const Stored& s, std::int64_t at, std::int64_t n, const T* __restrict from) {
  S* __restrict values = s.at<S>(at);
  S* __restrict rest = reinterpret_cast<S*>(s.second) + at;
  for (std::int64_t i = 0; i < n; ++i) values[i] = store_one<S>(static_cast<float>(from[i]));
  for (std::int64_t i = 0; i < n; ++i) {
    const float left = static_cast<float>(from[i]) - widen(values[i]);
    rest[i] = store_finite<S>(std::abs(left) <= std::numeric_limits<float>::max() ? left : 0.0f);
  }
}

// bits = (upper << 16) + (signed lower << shift): the upper half is the number rounded to bfloat16, halves away from zero.
// Every lower part fits every upper half but two, which were written from outside: a zero and an infinity, of which it would
// make a NaN. It is void then.
template <class Rest, int shift>
struct Split {
  static float load(Bf16 upper, Rest lower) {
    const std::uint32_t high = static_cast<std::uint32_t>(upper.bits) << 16, magnitude = high & 0x7fffffff;
    const std::uint32_t both = magnitude + (static_cast<std::uint32_t>(static_cast<std::int32_t>(lower)) << shift);
    return std::bit_cast<float>((both > 0x7f800000 ? magnitude : both) | (high & 0x80000000));
  }
  static void store(float x, std::uint32_t random, Bf16& upper, Rest& lower) {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    const std::uint32_t kept = (bits + random) >> shift;
    const std::uint32_t high = (kept + (1u << (15 - shift))) >> (16 - shift);
    const bool nan = (bits & 0x7fffffff) > 0x7f800000;  // its payload could carry into the sign
    upper.bits = static_cast<std::uint16_t>(nan ? 0x7fc0 : high);
    lower = static_cast<Rest>(nan ? 0u : kept - (high << (16 - shift)));
  }
};

template <class Rest, int shift, class T>
inline void load_split(const Stored& s, std::int64_t at, std::int64_t n, T* __restrict to) {
  const Bf16* __restrict upper = s.at<Bf16>(at);
  const Rest* __restrict lower = reinterpret_cast<const Rest*>(s.second) + at;
  for (std::int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(Split<Rest, shift>::load(upper[i], lower[i]));
}
template <class Rest, int shift, class T, class Random>
inline void store_split(const Stored& s, std::int64_t at, std::int64_t n, const T* __restrict from, Random&& random) {
  Bf16* __restrict upper = s.at<Bf16>(at);
  Rest* __restrict lower = reinterpret_cast<Rest*>(s.second) + at;
  for (std::int64_t i = 0; i < n; ++i) Split<Rest, shift>::store(static_cast<float>(from[i]), random(i), upper[i], lower[i]);
}

// Calls f(place in the block, count, random bits of the place on) for the runs of the dither.
template <class F>
inline void for_each_dithered(const Dither& dither, std::int64_t at, std::int64_t n, F&& f) {
  for (std::int64_t i = 0; i < n;) {
    const std::int64_t count = std::min(n - i, Dither::run - (at + i) % Dither::run);
    f(i, count, dither.from(at + i));
    i += count;
  }
}

inline Bf16 to_bf16(float x, std::uint32_t random) {
  return upper_half(x, std::bit_cast<std::uint32_t>(x) + (random >> 3));  // infinity stays: its lower half is zeros
}
// Magnitudes from `infinite` on, as bits, become infinity; smaller ones 65504 at most.
inline F16 to_f16(float x, std::uint32_t random, std::uint32_t infinite) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t magnitude = bits & 0x7fffffff;
  const std::uint32_t normal = (magnitude + (random >> 6) - (112u << 23)) >> 13;
  // below 2^-14 the unit is 2^-24
  const float units = std::bit_cast<float>(std::min(magnitude, 113u << 23)) * 0x1p24f;
  const float up = static_cast<float>(static_cast<std::int32_t>(random)) * 0x1p-19f;
  const auto subnormal = static_cast<std::uint32_t>(static_cast<std::int32_t>(units + up));
  const std::uint32_t small = magnitude < (113u << 23) ? ~0u : 0u;  // as a mask, which GCC 12 does not try to narrow
  const std::uint32_t finite = std::min((subnormal & small) | (normal & ~small), 0x7bffu);
  const std::uint32_t result = std::max(finite, infinite_or_nan(magnitude, infinite));
  return {static_cast<std::uint16_t>(result | (bits >> 16 & 0x8000))};
}
template <class S>
inline S rounded(float x, std::uint32_t random, std::uint32_t infinite) {
  if constexpr (std::is_same_v<S, Bf16>)
    return to_bf16(x, random);
  else
    return to_f16(x, random, infinite);
}

// Finite numbers of double stay finite: only states are rounded from double, and float16's end at 65504.
template <class S>
inline float narrowed(double x) {
  constexpr double beyond = 0x1p17;
  const double bounded = std::min(std::max(x, -beyond), beyond);
  const bool finite = std::abs(x) <= std::numeric_limits<double>::max();
  return static_cast<float>(std::is_same_v<S, F16> && finite ? bounded : x);
}
template <class S>
inline float narrowed(float x) {
  return x;
}

template <class S, class T>
inline void store_dithered(const Stored& s, std::int64_t at, std::int64_t n, const T* from, const Dither& dither) {
  const std::uint32_t infinite = s.stays_finite ? 0x7f800000 : 0x47800000;
  for_each_dithered(dither, at, n, [&](std::int64_t begin, std::int64_t count, const Dither::Bits& random) {
    S* __restrict to = s.at<S>(at + begin);
    const T* __restrict x = from + begin;
    for (std::int64_t i = 0; i < count; ++i) to[i] = rounded<S>(narrowed<S>(x[i]), random[i], infinite);
  });
}

}  // namespace storing

}  // namespace fastopt::engine
