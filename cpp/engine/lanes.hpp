// Sums of squares and of products in a fixed order: 16 lanes of double at every CPU level, folded by halves. The order
// depends on the number of elements only, so every level, thread count and grouping gives the same bits; 16 independent
// chains are also what keeps the adders busy (a plain loop is one chain: 4 to 8 times slower).
#pragma once
#include <cmath>
#include <cstdint>

#include "rules/rule.hpp"

namespace fastopt::engine {

// Sums over a tensor are sums of its blocks of so many elements, added in order.
inline constexpr std::int64_t sum_block = 4096;

struct Lanes {
  static constexpr int count = 16;
  alignas(64) double lane[count] = {};

  // Element i goes to lane i mod 16: calls for consecutive pieces continue the sum if all but the last are multiples of 16.
  template <class T>
  void add_squares(const T* x, std::int64_t n) {
    double sum[count];
    for (int j = 0; j < count; ++j) sum[j] = lane[j];
    std::int64_t i = 0;
    for (; i + count <= n; i += count)
      for (int j = 0; j < count; ++j) {
        const double value = static_cast<double>(x[i + j]);
        sum[j] += value * value;
      }
    for (int j = 0; i + j < n; ++j) {
      const double value = static_cast<double>(x[i + j]);
      sum[j] += value * value;
    }
    for (int j = 0; j < count; ++j) lane[j] = sum[j];
  }

  void add_products(const double* x, const double* y, std::int64_t n) {
    double sum[count];
    for (int j = 0; j < count; ++j) sum[j] = lane[j];
    std::int64_t i = 0;
    for (; i + count <= n; i += count)
      for (int j = 0; j < count; ++j) sum[j] += x[i + j] * y[i + j];
    for (int j = 0; i + j < n; ++j) sum[j] += x[i + j] * y[i + j];
    for (int j = 0; j < count; ++j) lane[j] = sum[j];
  }

  double total() const {
    double sum[count];
    for (int j = 0; j < count; ++j) sum[j] = lane[j];
    for (int width = count / 2; width > 0; width /= 2)
      for (int j = 0; j < width; ++j) sum[j] += sum[j + width];
    return sum[0];
  }
};

inline double dot(const double* x, const double* y, std::int64_t n) {
  Lanes lanes;
  lanes.add_products(x, y, n);
  return lanes.total();
}

// The largest magnitude, of finite numbers. Lanes of maxima: a single one would be a chain.
template <class T>
inline T largest(const T* x, std::int64_t n) {
  constexpr int lanes = 64;
  T most[lanes] = {};
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int j = 0; j < lanes; ++j) most[j] = rules::max(most[j], std::abs(x[i + j]));
  for (; i < n; ++i) most[0] = rules::max(most[0], std::abs(x[i]));
  for (int width = lanes / 2; width > 0; width /= 2)
    for (int j = 0; j < width; ++j) most[j] = rules::max(most[j], most[j + width]);
  return most[0];
}

}  // namespace fastopt::engine
