// Vectors of the width this file is compiled for, in the compiler's own vector extension: no intrinsics, so the same
// source serves every CPU level. Compilers without the extension get vectors of one lane: T itself.
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>

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

#if defined(__GNUC__)
#if defined(__AVX512F__)
inline constexpr int vector_bytes = 64;
#elif defined(__AVX__)
inline constexpr int vector_bytes = 32;
#else
inline constexpr int vector_bytes = 16;
#endif
template <class T>
struct Simd;
template <>
struct Simd<double> {
  using V = double __attribute__((vector_size(vector_bytes)));
  using I = std::int64_t __attribute__((vector_size(vector_bytes)));
  using U = std::uint64_t __attribute__((vector_size(vector_bytes)));
  static constexpr int lanes = vector_bytes / 8;
};
template <>
struct Simd<float> {
  using V = float __attribute__((vector_size(vector_bytes)));
  using I = std::int32_t __attribute__((vector_size(vector_bytes)));
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
template <class T>
inline T sum(const Vec<T>& v) {
  T x[lanes<T>];
  std::memcpy(x, &v, sizeof v);
  for (int half = lanes<T> / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) x[i] += x[i + half];
  return x[0];
}

inline constexpr std::int64_t round_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

}  // namespace fastopt::linalg
