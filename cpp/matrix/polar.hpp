// The orthogonal factor of the polar decomposition X = Q H: with X = U diag(s) V' it is U V' over the singular values that
// are not 0. From the eigenvalues of Gram's matrix on the smaller side in double, refined by Newton-Schulz steps of degree
// three.
#pragma once
#include <cstdint>

#include "matrix/each_matrix.hpp"

namespace fastopt::matrix {

// Singular values below so much of the largest count as 0: the noise of float32 is a tenth of it, and what Gram's matrix in
// double tells apart half.
inline constexpr double no_singular_value = 1e-6;

template <class T>
struct Polar {
  std::int64_t rows, columns;

  double flops() const;
  std::size_t scratch() const;
  // x: rows x columns, row-major, of Frobenius norm about 1, in place.
  void run(T* x, const Members& members, Scratch scratch) const noexcept;
};

}  // namespace fastopt::matrix
