// Matrices into lanes, scaled one by one, and results out of them.
#pragma once
#include <utility>

#include "linalg/lane.hpp"
#include "linalg/load.hpp"

namespace fastopt::linalg {

// Factors that bring the largest entry of each lane to [1, 2) and back; two, because one may not be representable.
template <class T, int W>
struct Scales {
  T first[W], second[W], back[W], back_first[W];
  bool bad[W];  // NaN or infinity

  void set(const T* most, const T* poison) {
    using Int = typename Bits<T>::Int;
    constexpr int mantissa = Bits<T>::mantissa, bias = Bits<T>::bias;
    constexpr T up = T(Int(1) << (mantissa + 4 > 30 ? 56 : 27)), down = 1 / T(256);
    const auto field = [](T x) {
      Int bits;
      std::memcpy(&bits, &x, sizeof x);
      return bits >> mantissa;
    };
    const auto power = [](Int field) {
      const Int bits = field << mantissa;
      T x;
      std::memcpy(&x, &bits, sizeof x);
      return x;
    };
    for (int l = 0; l < W; ++l) {
      const Int raw = field(most[l]);
      const bool huge = raw > 2 * bias - 8, tiny = raw < 8;
      first[l] = huge ? down : tiny ? up : T(1);
      back_first[l] = huge ? 1 / down : tiny ? 1 / up : T(1);
      const Int now = field(most[l] * first[l]), at = now == 0 ? Int(bias) : now;
      bad[l] = poison[l] != T(0);
      second[l] = bad[l] ? T(0) : power(2 * bias - at);
      back[l] = power(at);
    }
  }
};

// Entry (i, j), j <= i, of matrix l to to[(i n + j) W + l].
template <int W, class T, class N>
inline void lane_gather(const T* const (&from)[W], std::int64_t row, std::int64_t column, N n, T* to) {
  for (int l = 0; l < W; ++l)
    for (int i = 0; i < n; ++i)
      for (int j = 0; j <= i; ++j) to[(i * n + j) * W + l] = from[l][i * row + j * column];
}

// Scales the gathered triangle. Lanes with NaN or infinity become zero, so that they neither delay nor disturb the others.
template <class T, class X, class N>
inline void lane_scale(X* a, N n, Scales<T, width<T, X>>& scales) {
  X most = {}, poison = {};
  for (int i = 0; i < n; ++i)
    for (int j = 0; j <= i; ++j) {
      const X x = a[i * n + j], size = magnitude(x);
      most = select(most < size, size, most);
      poison = poison + zero_if_finite(x);
    }
  scales.set(reinterpret_cast<const T*>(&most), reinterpret_cast<const T*>(&poison));
  X first, second;
  std::memcpy(&first, scales.first, sizeof first);
  std::memcpy(&second, scales.second, sizeof second);
  const bool some_bad = any(Mask<T, X>((poison == X{}) == Mask<T, X>{}));
  for (int i = 0; i < n; ++i)
    for (int j = 0; j <= i; ++j) {
      X& x = a[i * n + j];
      x = x * first * second;
      if (some_bad) x = select(poison == X{}, x, X{});
    }
}

// Ascending values in every lane. order (may be null) starts as 0 .. n - 1 and moves along.
template <class T, class X, class N>
inline void lane_sort(X* d, typename Lane<T, X>::Int* order, N n) {
  for (int i = 0; i < n; ++i)
    for (int j = i + 1; j < n; ++j) {
      const auto swap = d[j] < d[i];
      const X low = select(swap, d[j], d[i]);
      d[j] = select(swap, d[i], d[j]);
      d[i] = low;
      if (!order) continue;
      const auto first = select(swap, order[j], order[i]);
      order[j] = select(swap, order[i], order[j]);
      order[i] = first;
    }
}

}  // namespace fastopt::linalg
