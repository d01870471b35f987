// Adafactor's second moments: of matrices averages over rows and over columns, for an element (i, j) R_i C_j / mean(R); of a
// vector each element's. The root of a product is kept as two factors, so that nothing small vanishes before it is taken.
#pragma once
#include "matrix/each_matrix.hpp"
#include "matrix/pieces.hpp"
#include "matrix/stream.hpp"

namespace fastopt::matrix {

template <class T>
struct SecondMoments {
  Pieces pieces;
  const MatrixTask* task;                    // where the gradient comes from
  T *rows, *columns, *vector;                // the states: the first two, or the third
  double rest, added, least;                 // 1 - beta; what is added to a square; of the mean of R, and of a root
  double *sums = nullptr, *means = nullptr;  // of the columns of all pieces; of the squares of a row
  double* weights = nullptr;                 // one over a column's factor, squared
  T *most = nullptr, *row_factors = nullptr, *column_factors = nullptr;  // the largest element of each piece
  T* least_factors = nullptr;                                            // of a matrix's columns
  T unit = 1;                                                            // brings gradients into range (matrix/range.hpp)

  static std::size_t scratch(const MatrixView& view);
  void take(Scratch& scratch);

  void update(const linalg::Team<T>& team);
  Source<T> source() const { return {*task, unit}; }
  // u[0, n) = x over the root of its second moment, of the elements from `begin` on; 0 where that is 0.
  void scale(std::int64_t begin, std::int64_t n, const T* x, T* u) const;
  // Of those u in some rows, the sum of squares.
  double sum_of_squares(std::int64_t first, std::int64_t last) const;

 private:
  T averaged(T state, double mean) const { return static_cast<T>(double(state) + rest * (mean - double(state))); }
  void measure(const linalg::Team<T>& team) const;
  void update_vector(const linalg::Team<T>& team) const;
  void update_columns(std::int64_t matrix, std::int64_t begin, std::int64_t end) const;
  void update_rows(std::int64_t matrix) const;
  void form_factors(std::int64_t matrix) const;
  bool has_weights(std::int64_t row) const;
};

}  // namespace fastopt::matrix
