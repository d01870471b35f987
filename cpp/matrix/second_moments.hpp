// Adafactor's second moments: of matrices averages over rows and over columns, for an element (i, j) R_i C_j / mean(R); of a
// vector each element's. The root of a product is kept as two factors, so that nothing small vanishes before it is taken.
#pragma once
#include "matrix/each_matrix.hpp"
#include "matrix/pieces.hpp"

namespace fastopt::matrix {

template <class T>
struct SecondMoments {
  Pieces pieces;
  const T* x;                  // the gradient
  T *rows, *columns, *vector;  // the states: the first two, or the third
  double rest, added, least;   // 1 - beta; what is added to a square; of the mean of R, and of a root
  double* sums;                // of the columns of all pieces
  T *row_factors, *column_factors;

  static std::size_t scratch(const MatrixView& view);
  void take(Scratch& scratch);

  void update(const linalg::Team<T>& team) const;
  // u[0, n) = x over the root of its second moment, from element `at` of a row on.
  void scale(std::int64_t row, std::int64_t at, std::int64_t n, T* u) const;

 private:
  T averaged(T state, double mean) const { return static_cast<T>(double(state) + rest * (mean - double(state))); }
  void update_vector(const linalg::Team<T>& team) const;
  void update_rows(const linalg::Team<T>& team) const;
  void update_columns(std::int64_t matrix, std::int64_t begin, std::int64_t end) const;
  void form_factors(std::int64_t matrix) const;
};

}  // namespace fastopt::matrix
