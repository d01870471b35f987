// The characteristic polynomial of a symmetric tridiagonal matrix at many shifts, and how many eigenvalues lie below each.
//
//   p_i = (d_i - x) p_{i-1} - e_{i-1}^2 p_{i-2}
//
// needs no division (the ratio form p_i / p_{i-1} spends 16 cycles per vector on one); the number of sign changes in
// p_0, p_1, ... is the number of eigenvalues below x. Before both p could overflow or underflow they are rescaled by a
// power of two, whose exponent is kept.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "linalg/simd.hpp"

namespace fastopt::linalg {

// p = value * 2^exponent with 1 <= |value| < 2, for each shift.
template <class T>
struct Scaled {
  T* value;
  typename Bits<T>::Int* exponent;
};

// Where to rescale: stops[0] < stops[1] < ... = n. On a matrix scaled to norm <= 1, |d_i - x| <= 2 + 8 eps, so the larger of
// |p_i|, |p_{i-1}| grows at most threefold per step, and shrinks at most by e_{i-1}^2 / 3 (the norm of the step's inverse).
// It starts in [1, 2); between 2^-budget and 2^budget the smaller of the two is exact to eps of the larger.
template <class T>
inline void rescaling_stops(const T* squares, std::int64_t n, std::vector<std::int64_t>& stops) {
  constexpr T budget = T(Bits<T>::bias - Bits<T>::mantissa - 4);
  constexpr T threefold = T(1.585);  // log2 3
  T shrunk = 0, grown = 0;
  stops.clear();
  for (std::int64_t i = 1; i < n; ++i) {
    int exponent;
    std::frexp(squares[i - 1], &exponent);  // 2^(exponent - 1) <= squares[i - 1]
    const T shrinks = std::max(T(0), threefold + T(1 - exponent));
    if (i > 1 && (shrunk + shrinks > budget || grown + threefold > budget)) {
      stops.push_back(i);
      shrunk = grown = 0;
    }
    shrunk += shrinks;
    grown += threefold;
  }
  stops.push_back(n);
}

template <class T>
inline IVec<T> bits(const Vec<T>& v) {
  return std::bit_cast<IVec<T>>(v);
}
template <class T>
inline IVec<T> biased_exponent(const Vec<T>& v) {
  constexpr auto mask = 2 * typename Bits<T>::Int(Bits<T>::bias) + 1;
  return (bits<T>(v) >> Bits<T>::mantissa) & mask;
}
// 2^(bias - biased): what brings a number with this biased exponent to [1, 2).
template <class T>
inline Vec<T> normaliser(const IVec<T>& biased) {
  return std::bit_cast<Vec<T>>((2 * Bits<T>::bias - biased) << Bits<T>::mantissa);
}

// U vectors of shifts at once hide the latency of the recurrence. `squares` holds e_i^2.
template <int U, bool Count, class T>
void determinants(const T* d, const T* squares, const std::vector<std::int64_t>& stops, const T* shifts, Scaled<T> out,
                  typename Bits<T>::Int* counts) {
  using Int = typename Bits<T>::Int;
  constexpr int L = lanes<T>;
  Vec<T> x[U], before[U], now[U];
  IVec<T> exponent[U] = {};
  UVec<T> count[U] = {};
#pragma GCC unroll 8
  for (int u = 0; u < U; ++u) {
    x[u] = load(shifts + u * L);
    before[u] = splat(T(1));
    now[u] = d[0] - x[u];
    if constexpr (Count) count[u] = std::bit_cast<UVec<T>>(now[u]) >> (8 * sizeof(T) - 1);
  }
  std::int64_t i = 1;
  for (const std::int64_t stop : stops) {
    for (; i < stop; ++i) {
      const Vec<T> di = splat(d[i]), s = splat(squares[i - 1]);
#pragma GCC unroll 8
      for (int u = 0; u < U; ++u) {
        const Vec<T> next = (di - x[u]) * now[u] - s * before[u];
        if constexpr (Count)
          count[u] += (std::bit_cast<UVec<T>>(next) ^ std::bit_cast<UVec<T>>(now[u])) >> (8 * sizeof(T) - 1);
        before[u] = now[u];
        now[u] = next;
      }
    }
#pragma GCC unroll 8
    for (int u = 0; u < U; ++u) {
      const IVec<T> e0 = biased_exponent<T>(before[u]), e1 = biased_exponent<T>(now[u]), e = e0 > e1 ? e0 : e1;
      exponent[u] += e - Int(Bits<T>::bias);
      const Vec<T> scale = normaliser<T>(e);
      before[u] *= scale;
      now[u] *= scale;
    }
  }
#pragma GCC unroll 8
  for (int u = 0; u < U; ++u) {
    const IVec<T> e = biased_exponent<T>(now[u]);
    exponent[u] += e - Int(Bits<T>::bias);
    store(out.value + u * L, now[u] * normaliser<T>(e));
    std::memcpy(out.exponent + u * L, &exponent[u], sizeof exponent[u]);
    if constexpr (Count) std::memcpy(counts + u * L, &count[u], sizeof count[u]);
  }
}

}  // namespace fastopt::linalg
