// Numbers in eight bits: groups of 64 elements with a scale, their largest magnitude, as a float.
//
// A code is a window of the bits of y = x / scale, read as an integer, which grows with the logarithm of |y|: codes of
// squares have 4 bits below each power of two, others 3 and a sign, and both reach down to 2^-16 of the largest. So every
// element has an error of its own size, and neither direction needs a root or a division for each. Random bits are added
// before the lower end is cut off: the code's value is x on average, also over thousands of steps in which x changes by less
// than a code. A scale that is exact absorbs what all elements of a group have in common, their decay above all
// (docs/design/bytes.md compares with other formats).
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "engine/dither.hpp"

// Rare, and inlined into every loop over codes they were most of it.
#if defined(__GNUC__)
#define FASTOPT_COLD [[gnu::cold, gnu::noinline]]
#else
#define FASTOPT_COLD
#endif

namespace fastopt::engine {

inline constexpr std::int64_t code_group = 64;
// Groups that the loops take together: their largest elements and inverses are chains of some forty cycles each, which run
// side by side then. With eight the arrays that lie between the loops are no longer near.
inline constexpr std::int64_t groups_at_once = 4;
constexpr std::int64_t groups_of(std::int64_t elements) { return (elements + code_group - 1) / code_group; }

template <bool with_sign>
struct Codes {
  static constexpr int shift = with_sign ? 20 : 19;
  static constexpr std::uint32_t most = with_sign ? 127 : 255;  // of the largest
  static constexpr std::uint32_t base = (std::bit_cast<std::uint32_t>(1.0f) >> shift) - most;
  static constexpr std::uint8_t special = with_sign ? 0x80 : 255;  // in marked groups: not finite

  // `n` <= 64 elements of one group.
  static void decode_group(const std::uint8_t* __restrict codes, float scale, float* __restrict to, std::int64_t n) {
    const float unit = std::abs(scale);
    for (std::int64_t i = 0; i < n; ++i) to[i] = decode(codes[i], unit);
    if (std::signbit(scale)) decode_special(codes, to, n);
  }

  static void encode_group(const float* __restrict x, std::uint8_t* __restrict codes, float& scale, std::int64_t n,
                           const Dither::Bits random) {
    std::int32_t largest = 0;
    for (std::int64_t i = 0; i < n; ++i) largest = std::max(largest, size_of(x[i]));
    if (largest >= infinite) return encode_special(x, codes, scale, n, random);
    if (largest < smallest_normal && largest > 0) return encode_subnormal(x, codes, scale, n, random);
    scale = std::bit_cast<float>(largest);
    const float inverse = inverse_of(scale);
    for (std::int64_t i = 0; i < n; ++i) codes[i] = encode(x[i], inverse, random[i]);
  }

  static void decode_groups(const std::uint8_t* __restrict codes, const float* scales, float* __restrict to) {
    for (std::int64_t g = 0; g < groups_at_once; ++g) {
      const float unit = std::abs(scales[g]);
      for (std::int64_t i = g * code_group; i < (g + 1) * code_group; ++i) to[i] = decode(codes[i], unit);
    }
    for (std::int64_t g = 0; g < groups_at_once; ++g)
      if (std::signbit(scales[g])) decode_special(codes + g * code_group, to + g * code_group, code_group);
  }

  static void encode_groups(const float* __restrict x, std::uint8_t* __restrict codes, float* __restrict scales,
                            const Dither::Bits random) {
    std::uint32_t largest[groups_at_once];
    float inverse[groups_at_once];
    for (std::int64_t g = 0; g < groups_at_once; ++g) {
      std::uint32_t most = 0;
      for (std::int64_t i = 0; i < code_group; ++i) {
        const auto bits = std::bit_cast<std::uint32_t>(x[g * code_group + i]);
        most = std::max(most, with_sign ? bits & ~sign : bits);  // a square with a sign seems infinite: a zero or a NaN
      }
      largest[g] = most;
    }
    bool rare = false;
    for (std::int64_t g = 0; g < groups_at_once; ++g) {
      rare |= largest[g] >= infinite || (largest[g] < smallest_normal && largest[g] > 0);
      inverse[g] = inverse_of(std::bit_cast<float>(largest[g]));
    }
    if (rare) return encode_apart(x, codes, scales, random);
    for (std::int64_t g = 0; g < groups_at_once; ++g) scales[g] = std::bit_cast<float>(largest[g]);
    for (std::int64_t g = 0; g < groups_at_once; ++g) {
      const float by = inverse[g];
      for (std::int64_t i = g * code_group; i < (g + 1) * code_group; ++i) codes[i] = encode(x[i], by, random[i]);
    }
  }

 private:
  static constexpr std::int32_t infinite = 0x7f800000, smallest_normal = 0x00800000;
  static constexpr std::uint32_t sign = 0x80000000;

  // The bits of magnitudes are in the order of the numbers. Squares have no sign, but a NaN among them may.
  static std::int32_t size_of(float x) { return std::bit_cast<std::int32_t>(x) & 0x7fffffff; }
  // A little less than the inverse: the largest element lies below 1, and the random bits carry it there but no further.
  static float inverse_of(float scale) { return scale == 0 ? 0 : (1 - 0x1p-22f) / scale; }

  static float decode(std::uint8_t code, float unit) {
    if constexpr (with_sign) {
      const std::uint32_t bits =
          static_cast<std::uint32_t>(static_cast<std::int8_t>(code)) << shift & (sign | most << shift);
      const float x = std::bit_cast<float>(bits + (base << shift)) * unit;
      return (bits & ~sign) == 0 ? 0.0f : x;
    } else {
      return std::bit_cast<float>((code << shift) + (base << shift)) * unit;
    }
  }

  // No square ends at 0, which would let the next step explode: in a group that is not all zeros even a zero does not.
  static std::uint8_t encode(float x, float inverse, std::uint32_t random) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(x * inverse) + (random << (shift - Dither::bits));
    const auto size = static_cast<std::int32_t>((with_sign ? bits & ~sign : bits) >> shift);
    const std::int32_t code = std::max(size - static_cast<std::int32_t>(base), with_sign ? 0 : 1);
    return static_cast<std::uint8_t>(with_sign ? (bits >> 24 & 0x80) | static_cast<std::uint32_t>(code)
                                               : static_cast<std::uint32_t>(code));
  }

  FASTOPT_COLD static void encode_apart(const float* x, std::uint8_t* codes, float* scales, const Dither::Bits& random) {
    for (std::int64_t g = 0; g < groups_at_once; ++g) {
      const std::int64_t at = g * code_group;
      encode_group(x + at, codes + at, scales[g], code_group, random.after(at));
    }
  }

  // Subnormal numbers, of which an inverse may be infinite: the codes are those of larger numbers.
  FASTOPT_COLD static void encode_subnormal(const float* x, std::uint8_t* codes, float& scale, std::int64_t n,
                                            const Dither::Bits& random) {
    float larger[code_group];
    for (std::int64_t i = 0; i < n; ++i) larger[i] = x[i] * 0x1p100f;
    encode_group(larger, codes, scale, n, random);
    scale *= 0x1p-100f;
  }

  // What is not finite has a code of its own and does not touch the rest of its group, whose scale is then negative.
  FASTOPT_COLD static void decode_special(const std::uint8_t* codes, float* to, std::int64_t n) {
    constexpr float value = with_sign ? std::numeric_limits<float>::quiet_NaN() : std::numeric_limits<float>::infinity();
    for (std::int64_t i = 0; i < n; ++i)
      if (codes[i] == special) to[i] = value;
  }
  FASTOPT_COLD static void encode_special(const float* x, std::uint8_t* codes, float& scale, std::int64_t n,
                                          const Dither::Bits& random) {
    const auto finite = [](float value) { return std::abs(value) <= std::numeric_limits<float>::max(); };
    std::int32_t largest = 0;
    for (std::int64_t i = 0; i < n; ++i)
      if (finite(x[i])) largest = std::max(largest, size_of(x[i]));
    // a code above the largest is free then
    const float own =
        std::clamp(std::bit_cast<float>(largest), std::numeric_limits<float>::min(), std::numeric_limits<float>::max() / 2) *
        1.125f;
    const float inverse = inverse_of(own);
    for (std::int64_t i = 0; i < n; ++i) {
      codes[i] = finite(x[i]) ? encode(x[i], inverse, random[i]) : special;
      if (with_sign && finite(x[i]) && codes[i] == special) codes[i] = 0;  // a negative zero
    }
    scale = -own;
  }
};

// From element `at` on, which begins a group. `random` is that of `at`.
template <bool with_sign>
inline void decode(const char* codes, const char* scales, std::int64_t at, float* to, std::int64_t n) {
  using Code = Codes<with_sign>;
  constexpr std::int64_t together = groups_at_once * code_group;
  const auto* code = reinterpret_cast<const std::uint8_t*>(codes) + at;
  const auto* scale = reinterpret_cast<const float*>(scales) + at / code_group;
  std::int64_t i = 0;
  for (; i + together <= n; i += together) Code::decode_groups(code + i, scale + i / code_group, to + i);
  for (; i < n; i += code_group) Code::decode_group(code + i, scale[i / code_group], to + i, std::min(code_group, n - i));
}
template <bool with_sign>
inline void encode(const float* from, char* codes, char* scales, std::int64_t at, std::int64_t n,
                   const Dither::Bits& random) {
  using Code = Codes<with_sign>;
  constexpr std::int64_t together = groups_at_once * code_group;
  auto* code = reinterpret_cast<std::uint8_t*>(codes) + at;
  auto* scale = reinterpret_cast<float*>(scales) + at / code_group;
  std::int64_t i = 0;
  for (; i + together <= n; i += together) Code::encode_groups(from + i, code + i, scale + i / code_group, random.after(i));
  for (; i < n; i += code_group)
    Code::encode_group(from + i, code + i, scale[i / code_group], std::min(code_group, n - i), random.after(i));
}

}  // namespace fastopt::engine
