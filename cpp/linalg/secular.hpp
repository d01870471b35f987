// The secular equation of a rank-one modification D + rho z z', after Li (LAPACK Working Note 89).
#pragma once
#include <cstdint>

namespace fastopt::linalg {

// f(lambda) = 1 + sum_j weight_j / (d_j - lambda) with weight_j = rho z_j^2 > 0 and d strictly ascending has one root
// above each pole. Arrays are padded to whole vectors: weight 0, d beyond every root.
template <class T>
struct Secular {
  const T *d, *weight;
  std::int64_t count, padded;
  T total;  // sum of the weights: the last root is at most that far above the last pole
};

// Root i, and distance[j] = d_j - root for all (padded) j, each accurate to a few ulps of its own size: the root is kept as
// an offset from its nearer pole.
template <class T>
T secular_root(const Secular<T>& s, std::int64_t i, T* distance);

}  // namespace fastopt::linalg
