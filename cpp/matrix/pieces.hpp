// A stack of matrices, or a vector as one row, in pieces for threads to claim. They depend on the shape only, and so do the
// bits of what is summed by pieces.
#pragma once
#include <algorithm>
#include <cstdint>

#include "engine/transform.hpp"
#include "linalg/team.hpp"

namespace fastopt::matrix {

// Rows that are walked side by side, so that what is kept of columns is read and written once for all of them. However many
// threads there are, these rows are the same.
constexpr std::int64_t abreast = 4;

// Calls f(first row, rows) for as many as go side by side, the last ones fewer.
template <class F>
void for_each_band(std::int64_t first, std::int64_t last, F&& f) {
  for (std::int64_t row = first; row < last; row += abreast) f(row, static_cast<int>(std::min(abreast, last - row)));
}

// Some rows of a matrix: few where columns are many, but enough that the sums of a piece's columns are small beside it. Of
// small matrices several.
struct Pieces {
  static constexpr std::int64_t elements = 32768;  // about as many as a piece has
  std::int64_t count, rows, columns;               // matrices, and their sides
  std::int64_t rows_of_piece, of_matrix, matrices_of_piece;

  explicit Pieces(const engine::MatrixView& view)
      : count(view.count),
        rows(view.rows),
        columns(view.columns),
        rows_of_piece(std::clamp<std::int64_t>(elements / std::max<std::int64_t>(columns, 1), 16, 4096)),
        of_matrix((rows + rows_of_piece - 1) / rows_of_piece),
        matrices_of_piece(of_matrix > 1 ? 1
                                        : std::max<std::int64_t>(elements / std::max<std::int64_t>(rows * columns, 1), 1)) {}

  std::int64_t size() const { return count * rows * columns; }
  // Rows of so few elements are walked as they follow each other, not side by side.
  bool narrow() const { return columns < 64; }
  std::int64_t all() const { return (count + matrices_of_piece - 1) / matrices_of_piece * of_matrix; }
  // Of a piece what is of one matrix.
  std::int64_t parts() const { return count * of_matrix; }

  // f(number of the piece, first row, behind the last), of rows counted through all matrices.
  template <class T, class F>
  void each(const linalg::Team<T>& team, F&& f) const {
    constexpr double ns_of_element = 1;
    team.each(all(), ns_of_element * static_cast<double>(size()), [&](std::int64_t piece, linalg::Packs<T>&) {
      const std::int64_t matrix = piece / of_matrix * matrices_of_piece, first = piece % of_matrix * rows_of_piece;
      if (matrices_of_piece > 1)
        f(piece, matrix * rows, std::min(matrix + matrices_of_piece, count) * rows);
      else
        f(piece, matrix * rows + first, matrix * rows + std::min(first + rows_of_piece, rows));
    });
  }
  // f(number of the part, first row, behind the last) for the parts of a piece.
  template <class F>
  void each_part(std::int64_t first, std::int64_t last, F&& f) const {
    for (std::int64_t row = first, end = 0; row < last; row = end) {
      const std::int64_t matrix = row / rows;
      end = std::min(last, (matrix + 1) * rows);
      f(matrix * of_matrix + row % rows / rows_of_piece, row, end);
    }
  }
};

}  // namespace fastopt::matrix
