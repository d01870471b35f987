// Where numbers lie and how: one type for parameters, states, averages and shadows. load() and store() are the only doors,
// and the only places that ask for an encoding.
#pragma once
#include <algorithm>
#include <cstdint>

#include "engine/codes.hpp"
#include "engine/convert.hpp"
#include "engine/dither.hpp"
#include "engine/dtype.hpp"

namespace fastopt::engine {

enum class Encoding : std::uint8_t {
  f32,
  f64,
  bf16,
  f16,
  // In half precision with what rounding left, in a second array: of the same type (Kahan's compensation), or the lower
  // part of a float32, as the difference of bit patterns, in 16 bits (every float32 exactly) or 8.
  bf16_kahan,
  f16_kahan,
  bf16_split16,
  bf16_split8,
  // In eight bits; the second array holds a scale for each group (codes.hpp).
  signed8,
  positive8,
};

constexpr Encoding encoding_of(Dtype dtype) { return static_cast<Encoding>(dtype); }

// Of the first array. Codes have no floating-point type.
constexpr Dtype dtype_of_values(Encoding e) {
  switch (e) {
    case Encoding::f64: return Dtype::f64;
    case Encoding::bf16:
    case Encoding::bf16_kahan:
    case Encoding::bf16_split16:
    case Encoding::bf16_split8: return Dtype::bf16;
    case Encoding::f16:
    case Encoding::f16_kahan: return Dtype::f16;
    default: return Dtype::f32;
  }
}
constexpr bool is_code(Encoding e) { return e == Encoding::signed8 || e == Encoding::positive8; }

// Bytes of one element in the first array, and of an element's share in the second.
constexpr std::size_t item_size(Encoding e) { return is_code(e) ? 1 : item_size(dtype_of_values(e)); }
constexpr std::size_t second_size(Encoding e) {
  switch (e) {
    case Encoding::bf16_kahan:
    case Encoding::f16_kahan:
    case Encoding::bf16_split16: return 2;
    case Encoding::bf16_split8: return 1;
    default: return 0;  // a scale is four bytes for 64 elements
  }
}

struct Stored {
  char* data = nullptr;  // null: there is none
  char* second = nullptr;
  Encoding encoding = Encoding::f32;
  bool stochastic = false;  // else to nearest, ties to even

  explicit operator bool() const { return data != nullptr; }
  Dtype dtype() const { return dtype_of_values(encoding); }
  // The arithmetic needs no copy.
  template <class T>
  bool is() const {
    return encoding == encoding_of(dtype_of<T>);
  }
  template <class T>
  T* at(std::int64_t i) const {
    return reinterpret_cast<T*>(data) + i;
  }
};

namespace storing {

template <class S, class T>
inline void load_sum(const Stored& s, std::int64_t at, std::int64_t n, T* __restrict to) {
  const S* __restrict values = s.at<S>(at);
  const S* __restrict rest = reinterpret_cast<const S*>(s.second) + at;
  for (std::int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(widen(values[i]) + widen(rest[i]));
}
// What is not finite leaves no rest: infinity minus itself would make a NaN of an infinity.
template <class S, class T>
inline void store_sum(const Stored& s, std::int64_t at, std::int64_t n, const T* __restrict from) {
  S* __restrict values = s.at<S>(at);
  S* __restrict rest = reinterpret_cast<S*>(s.second) + at;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto x = static_cast<float>(from[i]);
    values[i] = store_one<S>(x);
    const float left = x - widen(values[i]);
    rest[i] = store_one<S>(std::abs(left) <= std::numeric_limits<float>::max() ? left : 0.0f);
  }
}

// bits = (upper << 16) + (signed lower << shift): the upper half is the number rounded to bfloat16, halves away from zero.
template <class Rest, int shift>
struct Split {
  static float load(Bf16 upper, Rest lower) {
    const auto high = static_cast<std::uint32_t>(upper.bits) << 16;
    return std::bit_cast<float>(high + (static_cast<std::uint32_t>(static_cast<std::int32_t>(lower)) << shift));
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
  const auto bits = std::bit_cast<std::uint32_t>(x);  // infinity stays: its lower half is zeros
  return {static_cast<std::uint16_t>((x == x ? bits + (random >> 3) : bits | 0x400000) >> 16)};
}
inline F16 to_f16(float x, std::uint32_t random) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t magnitude = bits & 0x7fffffff;
  const std::uint32_t normal = (magnitude + (random >> 6) - (112u << 23)) >> 13;
  // below 2^-14 the unit is 2^-24
  const float units = std::bit_cast<float>(std::min(magnitude, 113u << 23)) * 0x1p24f;
  const auto subnormal =
      static_cast<std::uint32_t>(static_cast<std::int32_t>(units + static_cast<float>(random) * 0x1p-19f));
  std::uint32_t result = magnitude < (113u << 23) ? subnormal : normal;
  result = magnitude >= 0x477fe000 ? (magnitude >= 0x47800000 ? 0x7c00 : 0x7bff) : result;
  result = magnitude > 0x7f800000 ? 0x7e00 : result;
  return {static_cast<std::uint16_t>(result | (bits >> 16 & 0x8000))};
}
template <class S>
inline S rounded(float x, std::uint32_t random) {
  if constexpr (std::is_same_v<S, Bf16>)
    return to_bf16(x, random);
  else
    return to_f16(x, random);
}

template <class S, class T>
inline void store_dithered(const Stored& s, std::int64_t at, std::int64_t n, const T* from, const Dither& dither) {
  for_each_dithered(dither, at, n, [&](std::int64_t begin, std::int64_t count, const Dither::Bits& random) {
    S* __restrict to = s.at<S>(at + begin);
    const T* __restrict x = from + begin;
    for (std::int64_t i = 0; i < count; ++i) to[i] = rounded<S>(static_cast<float>(x[i]), random[i]);
  });
}

}  // namespace storing

// Elements [at, at + n) in the type of computation. Of codes a group begins at `at`.
template <class T>
inline void load(const Stored& s, std::int64_t at, std::int64_t n, T* to) {
  switch (s.encoding) {
    case Encoding::f32: return load(s.at<const float>(at), to, n);
    case Encoding::f64: return load(s.at<const double>(at), to, n);
    case Encoding::bf16: return load(s.at<const Bf16>(at), to, n);
    case Encoding::f16: return load(s.at<const F16>(at), to, n);
    default: break;
  }
  if constexpr (sizeof(T) == 4) {  // the rest is of what is computed in float
    switch (s.encoding) {
      case Encoding::bf16_kahan: return storing::load_sum<Bf16>(s, at, n, to);
      case Encoding::f16_kahan: return storing::load_sum<F16>(s, at, n, to);
      case Encoding::bf16_split16: return storing::load_split<std::int16_t, 0>(s, at, n, to);
      case Encoding::bf16_split8: return storing::load_split<std::int8_t, 8>(s, at, n, to);
      case Encoding::signed8: return decode<true>(s.data, s.second, at, to, n);
      case Encoding::positive8: return decode<false>(s.data, s.second, at, to, n);
      default: break;
    }
  }
}

template <class T>
inline void store(const Stored& s, std::int64_t at, std::int64_t n, const T* from, const Dither& dither) {
  switch (s.encoding) {
    case Encoding::f32: return store(from, s.at<float>(at), n);
    case Encoding::f64: return store(from, s.at<double>(at), n);
    case Encoding::bf16:
      return s.stochastic ? storing::store_dithered<Bf16>(s, at, n, from, dither) : store(from, s.at<Bf16>(at), n);
    case Encoding::f16:
      return s.stochastic ? storing::store_dithered<F16>(s, at, n, from, dither) : store(from, s.at<F16>(at), n);
    default: break;
  }
  if constexpr (sizeof(T) == 4) {
    switch (s.encoding) {
      case Encoding::bf16_kahan: return storing::store_sum<Bf16>(s, at, n, from);
      case Encoding::f16_kahan: return storing::store_sum<F16>(s, at, n, from);
      case Encoding::bf16_split16:
        return storing::store_split<std::int16_t, 0>(s, at, n, from, [](std::int64_t) { return 0u; });
      case Encoding::bf16_split8:
        if (!s.stochastic) return storing::store_split<std::int8_t, 8>(s, at, n, from, [](std::int64_t) { return 0x80u; });
        return storing::for_each_dithered(dither, at, n, [&](std::int64_t begin, std::int64_t count, const Dither::Bits& r) {
          storing::store_split<std::int8_t, 8>(s, at + begin, count, from + begin,
                                               [&](std::int64_t i) { return r[i] >> 11; });
        });
      default: break;
    }
    const auto coded = [&](auto with_sign) {
      storing::for_each_dithered(dither, at, n, [&](std::int64_t begin, std::int64_t count, const Dither::Bits& random) {
        encode<decltype(with_sign)::value>(from + begin, s.data, s.second, at + begin, count, random);
      });
    };
    s.encoding == Encoding::signed8 ? coded(std::true_type{}) : coded(std::false_type{});
  }
}

}  // namespace fastopt::engine
