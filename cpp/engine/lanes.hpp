// Sums, of squares and of products too, in a fixed order: 16 lanes of double at every CPU level, folded by halves. The order
// depends on the number of elements only, so every level, thread count and grouping gives the same bits; 16 independent
// chains are also what keeps the adders busy (a plain loop is one chain: 4 to 8 times slower).
#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace fastopt::engine {

// Sums over a tensor are sums of its blocks of so many elements, added in order.
inline constexpr std::int64_t sum_block = 4096;

struct Lanes {
  static constexpr int count = 16;
  alignas(64) double lane[count] = {};

  // Element i goes to lane i mod 16: calls for consecutive pieces continue the sum if all but the last are multiples of 16.
  template <class T>
  void add_squares(const T* x, std::int64_t n) {
    add_terms(n, [x](std::int64_t i) {
      const double value = static_cast<double>(x[i]);
      return value * value;
    });
  }
  // Each times a weight.
  template <class T>
  void add_squares(const T* x, const double* weights, std::int64_t n) {
    add_terms(n, [x, weights](std::int64_t i) {
      const double value = static_cast<double>(x[i]);
      return value * value * weights[i];
    });
  }
  template <class T>
  void add(const T* x, std::int64_t n) {
    add_terms(n, [x](std::int64_t i) { return static_cast<double>(x[i]); });
  }
  void add_products(const double* x, const double* y, std::int64_t n) {
    add_terms(n, [x, y](std::int64_t i) { return x[i] * y[i]; });
  }

  double total() const {
    double sum[count];
    for (int j = 0; j < count; ++j) sum[j] = lane[j];
    for (int width = count / 2; width > 0; width /= 2)
      for (int j = 0; j < width; ++j) sum[j] += sum[j + width];
    return sum[0];
  }

 private:
  // term(i) for i in [0, n). In locals: the lanes stay in registers.
  template <class Term>
  void add_terms(std::int64_t n, const Term& term) {
    double sum[count];
#pragma GCC unroll 16
    for (int j = 0; j < count; ++j) sum[j] = lane[j];
    std::int64_t i = 0;
    for (; i + count <= n; i += count)
#pragma GCC unroll 16
      for (int j = 0; j < count; ++j) sum[j] += term(i + j);
    for (int j = 0; i + j < n; ++j) sum[j] += term(i + j);
#pragma GCC unroll 16
    for (int j = 0; j < count; ++j) lane[j] = sum[j];
  }
};

template <class T>
inline double sum_of(const T* x, std::int64_t n) {
  Lanes lanes;
  lanes.add(x, n);
  return lanes.total();
}

inline double dot(const double* x, const double* y, std::int64_t n) {
  Lanes lanes;
  lanes.add_products(x, y, n);
  return lanes.total();
}

// The largest magnitude: NaN if there is one, else infinite if there is an infinity. The bits of magnitudes, read as
// integers, are in the order of the numbers, with infinity and then NaN above them; of floats a maximum drops one of NaN's
// sides. Lanes of maxima: a single one would be a chain. To fold them takes as long as some hundred elements.
template <class T>
struct Largest {
  using Bits = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  static constexpr Bits no_sign = std::numeric_limits<Bits>::max();  // all bits but the sign
  static constexpr int count = 64;
  Bits lane[count] = {};

  void add(const T* x, std::int64_t n) {
    Bits most[count];
    for (int j = 0; j < count; ++j) most[j] = lane[j];
    std::int64_t i = 0;
    for (; i + count <= n; i += count)
      for (int j = 0; j < count; ++j) most[j] = std::max(most[j], std::bit_cast<Bits>(x[i + j]) & no_sign);
    for (; i < n; ++i) most[0] = std::max(most[0], std::bit_cast<Bits>(x[i]) & no_sign);
    for (int j = 0; j < count; ++j) lane[j] = most[j];
  }

  T value() const {
    Bits most[count];
    for (int j = 0; j < count; ++j) most[j] = lane[j];
    for (int width = count / 2; width > 0; width /= 2)
      for (int j = 0; j < width; ++j) most[j] = std::max(most[j], most[j + width]);
    return std::bit_cast<T>(most[0]);
  }
};

template <class T>
inline T largest(const T* x, std::int64_t n) {
  Largest<T> most;
  most.add(x, n);
  return most.value();
}

}  // namespace fastopt::engine
