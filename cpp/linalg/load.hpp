// One triangle of the caller's matrix into the working copy, with the largest entry and the finite check on the way.
#pragma once
#include <cstdint>

#include "linalg/tridiagonalise.hpp"

namespace fastopt::linalg {

// Entry (i, j) of the caller's matrix is a[i * row + j * column]; only its lower (or upper) triangle is read.
template <class T>
struct Source {
  const T* a;
  std::int64_t row, column;
  bool lower;
};

inline constexpr const char* not_finite = "a: expected finite entries, got NaN or infinity";

// Fills `to` (lower triangle, whole diagonal tiles, zeros from n on) with the matrix times 2^-k and returns k, chosen so
// that squares neither overflow nor underflow. Throws std::domain_error for NaN or infinity.
template <class T>
int load_scaled(Source<T> source, Shape<T> shape, T* to);

}  // namespace fastopt::linalg
