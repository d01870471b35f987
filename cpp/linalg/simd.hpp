// Vectors of the width this file is compiled for, in the compiler's own vector extension: no intrinsics, so the same
// source serves every CPU level. Compilers without the extension get vectors of one lane: T itself; FASTOPT_SCALAR asks for
// them elsewhere, to test that path.
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

namespace fastopt::linalg {

template <class T>
struct Bits;
template <>
struct Bits<double> {
  using Int = std::int64_t;
  static constexpr int mantissa = 52, bias = 1023;
};
template <>
struct Bits<float> {
  using Int = std::int32_t;
  static constexpr int mantissa = 23, bias = 127;
};

#if defined(__GNUC__) && !defined(FASTOPT_SCALAR)
#if defined(__AVX512F__)
inline constexpr int vector_bytes = 64;
#elif defined(__AVX__)
inline constexpr int vector_bytes = 32;
#else
inline constexpr int vector_bytes = 16;
#endif
// I is what a comparison gives: of long, long long or int, as compiler and system have it.
template <class T>
struct Simd;
template <>
struct Simd<double> {
  using V = double __attribute__((vector_size(vector_bytes)));
  using I = decltype(V{} < V{});
  using U = std::uint64_t __attribute__((vector_size(vector_bytes)));
  static constexpr int lanes = vector_bytes / 8;
};
template <>
struct Simd<float> {
  using V = float __attribute__((vector_size(vector_bytes)));
  using I = decltype(V{} < V{});
  using U = std::uint32_t __attribute__((vector_size(vector_bytes)));
  static constexpr int lanes = vector_bytes / 4;
};
#else
inline constexpr int vector_bytes = 8;
template <class T>
struct Simd {
  using V = T;
  using I = typename Bits<T>::Int;
  using U = std::make_unsigned_t<I>;
  static constexpr int lanes = 1;
};
#endif

template <class T>
using Vec = typename Simd<T>::V;
template <class T>
using IVec = typename Simd<T>::I;
template <class T>
using UVec = typename Simd<T>::U;
template <class T>
inline constexpr int lanes = Simd<T>::lanes;

// memcpy is a plain (unaligned) vector move to every compiler, and says nothing wrong about aliasing.
template <class T>
inline Vec<T> load(const T* p) {
  Vec<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
inline void store(T* p, const Vec<T>& v) {
  std::memcpy(p, &v, sizeof v);
}
template <class T>
inline Vec<T> splat(T x) {
  return x - Vec<T>{};  // not 0 + x: that would cost an addition, for the sake of -0
}
// Of NaN and infinity NaN: sums of it say whether all was finite. T, or a vector of it.
template <class X>
inline X zero_if_finite(const X& x) {
  return x - x;  // NOLINT(misc-redundant-expression)
}
// Horizontal sums fold a vector in halves inside registers; through memory they dominated the reduction of small matrices.
#if defined(__GNUC__) && !defined(FASTOPT_SCALAR)
template <class T>
struct Quarter;  // 16 bytes
template <>
struct Quarter<double> {
  using V = double __attribute__((vector_size(16)));
};
template <>
struct Quarter<float> {
  using V = float __attribute__((vector_size(16)));
};
template <class V, std::size_t... I>
inline auto fold(const V& v, std::index_sequence<I...>) {
  return __builtin_shufflevector(v, v, I...) + __builtin_shufflevector(v, v, (I + sizeof...(I))...);
}
template <class T, class V>
inline typename Quarter<T>::V folded(const V& v) {
  if constexpr (sizeof(V) == 16)
    return v;
  else
    return folded<T>(fold(v, std::make_index_sequence<sizeof(V) / sizeof(T) / 2>()));
}
template <class T>
inline T sum(const Vec<T>& v) {
  const auto q = folded<T>(v);
  if constexpr (sizeof(T) == 8)
    return q[0] + q[1];
  else
    return (q[0] + q[2]) + (q[1] + q[3]);
}
// out[g] = sum(v[g]) for G vectors at once, G a multiple of 4 (or 2 in double).
template <int G, class T>
inline void store_sums(const Vec<T> (&v)[G], T* out) {
  constexpr int step = 16 / int(sizeof(T));
  if constexpr (G % step != 0) {
    for (int g = 0; g < G; ++g) out[g] = sum<T>(v[g]);
  } else {
#pragma GCC unroll 4
    for (int g = 0; g < G; g += step) {
      typename Quarter<T>::V total;
      const auto a = folded<T>(v[g]), b = folded<T>(v[g + 1]);
      if constexpr (step == 2) {
        total = __builtin_shufflevector(a, b, 0, 2) + __builtin_shufflevector(a, b, 1, 3);
      } else {
        const auto c = folded<T>(v[g + 2]), d = folded<T>(v[g + 3]);
        const auto ab = __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
        const auto cd = __builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7);
        total = __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
      }
      std::memcpy(out + g, &total, sizeof total);
    }
  }
}
#else
template <class T>
inline T sum(const Vec<T>& v) {
  return v;
}
template <int G, class T>
inline void store_sums(const Vec<T> (&v)[G], T* out) {
  for (int g = 0; g < G; ++g) out[g] = v[g];
}
#endif

inline constexpr std::int64_t round_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

}  // namespace fastopt::linalg
