// load() and store(): the only doors to where numbers lie, and the only places that ask how they are encoded.
#pragma once
#include <cstdint>
#include <type_traits>

#include "engine/codes.hpp"
#include "engine/rounding.hpp"

namespace fastopt::engine {

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
