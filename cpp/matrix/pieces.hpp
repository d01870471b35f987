// A stack of matrices, or a vector as one row, in pieces for threads to claim. They depend on the shape only, and so do the
// bits of what is summed by pieces.
#pragma once
#include <algorithm>
#include <cstdint>

#include "engine/transform.hpp"
#include "linalg/team.hpp"

namespace fastopt::matrix {

// Some rows of a matrix: few where columns are many, but enough that the sums of a piece's columns are small beside it.
struct Pieces {
  std::int64_t count, rows, columns;  // matrices, and their sides
  std::int64_t rows_of_piece, of_matrix;

  explicit Pieces(const engine::MatrixView& view)
      : count(view.count),
        rows(view.rows),
        columns(view.columns),
        rows_of_piece(std::clamp<std::int64_t>(32768 / std::max<std::int64_t>(columns, 1), 8, 4096)),
        of_matrix((rows + rows_of_piece - 1) / rows_of_piece) {}

  std::int64_t size() const { return count * rows * columns; }
  std::int64_t all() const { return count * of_matrix; }

  // f(number of the piece, first row, behind the last), of rows counted through all matrices.
  template <class T, class F>
  void each(const linalg::Team<T>& team, F&& f) const {
    constexpr double ns_of_element = 1;
    team.each(all(), ns_of_element * static_cast<double>(size()), [&](std::int64_t piece, linalg::Packs<T>&) {
      const std::int64_t matrix = piece / of_matrix, first = piece % of_matrix * rows_of_piece;
      f(piece, matrix * rows + first, matrix * rows + std::min(first + rows_of_piece, rows));
    });
  }
};

}  // namespace fastopt::matrix
