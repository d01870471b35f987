// Adafactor's second moments: of matrices averages over rows and over columns, for an element (i, j) R_i C_j / mean(R); of a
// vector each element's. The root of a product is kept as two factors, so that nothing small vanishes before it is taken.
#pragma once
#include "matrix/each_matrix.hpp"
#include "matrix/pieces.hpp"

namespace fastopt::matrix {

template <class T>
struct SecondMoments {
  Pieces pieces;
  T* x;                                    // the gradient
  T *rows, *columns, *vector;              // the states: the first two, or the third
  double rest, added, least;               // 1 - beta; what is added to a square; of the mean of R, and of a root
  double *sums, *means;                    // of the columns of all pieces; of the squares of a row
  T *most, *row_factors, *column_factors;  // the largest element of each piece

  static std::size_t scratch(const MatrixView& view);
  void take(Scratch& scratch);

  // x is brought into range (matrix/range.hpp).
  void update(const linalg::Team<T>& team) const;
  // u[0, n) = x over the root of its second moment, from element `at` of a row on; 0 where that is 0.
  void scale(std::int64_t row, std::int64_t at, std::int64_t n, T* u) const;

 private:
  T averaged(T state, double mean) const { return static_cast<T>(double(state) + rest * (mean - double(state))); }
  void measure(const linalg::Team<T>& team) const;
  void measure_rows(std::int64_t piece, std::int64_t first, std::int64_t last) const;
  void update_vector(const linalg::Team<T>& team) const;
  void update_columns(std::int64_t matrix, std::int64_t begin, std::int64_t end) const;
  void update_rows(std::int64_t matrix) const;
  void form_factors(std::int64_t matrix) const;
};

}  // namespace fastopt::matrix
