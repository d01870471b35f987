// Between storage and computation, a block at a time. The only file of the engine with intrinsics: GCC converts float16
// one element at a time (4.2 ns against 0.93, GCC 12). Every path rounds to nearest even and gives the same bits, NaN
// payloads excepted; the default floating-point environment is assumed (environment.hpp).
#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "engine/dtype.hpp"

#if defined(__F16C__) && defined(__AVX__)
#include <immintrin.h>
#define FASTOPT_F16C 1
#endif

namespace fastopt::engine {

inline float widen(Bf16 x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16); }

// The upper half, of a number that was rounded or of a NaN, which rounding could carry into infinity. Chosen before the
// halves are taken, so that compilers choose among 32 bits and pack once.
inline Bf16 upper_half(float x, std::uint32_t rounded) {
  const std::uint32_t bits = x == x ? rounded : std::bit_cast<std::uint32_t>(x) | 0x400000;
  return {static_cast<std::uint16_t>(bits >> 16)};
}

inline std::uint32_t rounded_to_upper(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return bits + 0x7fff + (bits >> 16 & 1);
}

inline Bf16 to_bf16(float x) { return upper_half(x, rounded_to_upper(x)); }

// The exponent is moved by a product with 2^112, which also turns float16's subnormals into float's normals.
inline float widen(F16 x) {
  const std::uint32_t sign = static_cast<std::uint32_t>(x.bits & 0x8000) << 16;
  const float moved = std::bit_cast<float>(static_cast<std::uint32_t>(x.bits & 0x7fff) << 13) * 0x1p112f;
  const std::uint32_t special = (x.bits & 0x7c00) == 0x7c00 ? 0x7f800000u : 0u;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(moved) | special | sign);
}

// float16's infinity for magnitudes from `infinite` on, its NaN for NaN, else 0. As largest of this and the bits of the
// number: choices inside one another would be branches, and the loops around them without vectors.
inline std::uint32_t infinite_or_nan(std::uint32_t magnitude, std::uint32_t infinite) {
  return (magnitude >= infinite ? 0x7c00u : 0u) + (magnitude > 0x7f800000 ? 0x200u : 0u);
}

inline F16 to_f16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t magnitude = bits & 0x7fffffff;
  const std::uint32_t normal = (magnitude + 0xfff + (magnitude >> 13 & 1) - (112u << 23)) >> 13;
  // below 2^-14 the unit is 2^-24, which is that of floats near 0.5: the sum rounds as float16 would
  const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000;
  const std::uint32_t finite = std::min(magnitude < (113u << 23) ? subnormal : normal, 0x7bffu);
  const std::uint32_t result = std::max(finite, infinite_or_nan(magnitude, 0x477ff000));  // from 65520 on
  return {static_cast<std::uint16_t>(result | (bits >> 16 & 0x8000))};
}

template <class T, class S>
inline T load_one(S x) {
  if constexpr (std::is_same_v<S, Bf16> || std::is_same_v<S, F16>)
    return static_cast<T>(widen(x));
  else
    return static_cast<T>(x);
}

// Rounded to odd, so that a second rounding, to a half type, gives what one rounding of the double would (Boldo &
// Melquiond 2008, "Emulation of FMA and correctly rounded sums": two more bits suffice).
inline float to_odd(double x) {
  const auto nearest = static_cast<float>(x);
  const auto bits = std::bit_cast<std::uint32_t>(nearest);
  const auto back = static_cast<double>(nearest);
  const bool exact = back == x || x != x || bits & 1;
  const std::uint32_t step = (back > x) == (x > 0) ? ~0u : 1u;  // towards zero if it was rounded away from it
  return std::bit_cast<float>(exact ? bits : bits + step);
}
inline float to_odd(float x) { return x; }

template <class S, class T>
inline S store_one(T x) {
  if constexpr (std::is_same_v<S, Bf16>)
    return to_bf16(to_odd(x));
  else if constexpr (std::is_same_v<S, F16>)
    return to_f16(to_odd(x));
  else
    return static_cast<S>(x);
}

// Of what is known to be finite.
template <class S>
inline S store_finite(float x) {
  if constexpr (std::is_same_v<S, Bf16>)
    return {static_cast<std::uint16_t>(rounded_to_upper(x) >> 16)};
  else
    return to_f16(x);
}

template <class S, class T>
inline void load(const S* __restrict from, T* __restrict to, std::int64_t n) {
  std::int64_t i = 0;
#if FASTOPT_F16C
  if constexpr (std::is_same_v<S, F16> && std::is_same_v<T, float>)
    for (; i + 8 <= n; i += 8)
      _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i))));
#endif
  for (; i < n; ++i) to[i] = load_one<T>(from[i]);
}

template <class S, class T>
inline void store(const T* __restrict from, S* __restrict to, std::int64_t n) {
  std::int64_t i = 0;
#if FASTOPT_F16C
  if constexpr (std::is_same_v<S, F16> && std::is_same_v<T, float>)
    for (; i + 8 <= n; i += 8)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i),
                       _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
#endif
  for (; i < n; ++i) to[i] = store_one<S>(from[i]);
}

}  // namespace fastopt::engine
