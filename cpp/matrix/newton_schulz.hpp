// Orthogonalisation by Newton-Schulz iterations of degree five: X <- (a I + b G + c G^2) X, G = X X', which drive the
// singular values of X, at most 1 at first, towards 1 (Jordan et al. 2024; Amsel et al. 2025, arXiv:2505.16932).
#pragma once
#include <cstdint>

#include "matrix/each_matrix.hpp"
#include "matrix/sides.hpp"

namespace fastopt::matrix {

// Of step k (0, 1, ...) of the constants by name "polar-express".
Quintic polar_express(std::int64_t k);

template <class T>
struct Iteration {
  std::int64_t rows, columns, steps;
  Quintic (*constants)(const void* context, std::int64_t k);
  const void* context;

  double flops() const;
  std::size_t scratch() const;
  // x: rows x columns, row-major, in place.
  void run(T* x, const linalg::Team<T>& team, Scratch scratch) const noexcept;
};

}  // namespace fastopt::matrix
