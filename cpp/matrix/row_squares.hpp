// What Adafactor learns of some rows of a matrix before anything is scaled: means of their squares, what they add to the
// columns' sums, and the largest element.
#pragma once
#include "engine/lanes.hpp"
#include "matrix/pieces.hpp"
#include "matrix/stream.hpp"

namespace fastopt::matrix {

template <class T>
struct RowSquares {
  std::int64_t columns;
  double *of_columns, *means;  // added to; of rows counted through all matrices
  engine::Largest<T>& largest;

  void of_rows(Source<T>& gradient, std::int64_t first, std::int64_t last) const;
  // Many rows of a few elements each, of a convolution's kernels, say: as they follow each other.
  void of_narrow_rows(Source<T>& gradient, std::int64_t first, std::int64_t last) const;
};

}  // namespace fastopt::matrix
