#include "matrix/second_moments.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/lanes.hpp"
#include "matrix/range.hpp"
#include "matrix/row_squares.hpp"
#include "rules/rule.hpp"

namespace fastopt::matrix {

template <class T>
std::size_t SecondMoments<T>::scratch(const MatrixView& view) {
  const Pieces p(view);
  return Scratch::bytes<double>(p.parts() * p.columns) + Scratch::bytes<double>(p.count * p.rows) +
         Scratch::bytes<double>(p.count * p.columns) + Scratch::bytes<T>(p.all()) + Scratch::bytes<T>(p.count * p.rows) +
         Scratch::bytes<T>(p.count * p.columns) + Scratch::bytes<T>(p.count);
}

template <class T>
void SecondMoments<T>::take(Scratch& scratch) {
  sums = scratch.take<double>(pieces.parts() * pieces.columns);
  means = scratch.take<double>(pieces.count * pieces.rows);
  weights = scratch.take<double>(pieces.count * pieces.columns);
  most = scratch.take<T>(pieces.all());
  row_factors = scratch.take<T>(pieces.count * pieces.rows);
  column_factors = scratch.take<T>(pieces.count * pieces.columns);
  least_factors = scratch.take<T>(pieces.count);
}

// No state is written before it is known that their squares are numbers. Sums are in double, where those of float32 are.
template <class T>
void SecondMoments<T>::update(const linalg::Team<T>& team) {
  measure(team);
  const std::int64_t summed = sizeof(T) == sizeof(double) ? pieces.size() : 1;
  unit = into_range(engine::largest(most, pieces.all()), summed, added == 0 && least == 0);
  if (unit != T(1)) measure(team);
  if (vector != nullptr) return update_vector(team);
  const auto work = static_cast<double>(pieces.parts() * pieces.columns);
  if (pieces.count == 1)
    team.split(pieces.columns, 512, work,
               [&](std::int64_t begin, std::int64_t end, linalg::Packs<T>&) { update_columns(0, begin, end); });
  team.split(pieces.count, 1, 8 * work, [&](std::int64_t begin, std::int64_t end, linalg::Packs<T>&) {
    for (std::int64_t matrix = begin; matrix < end; ++matrix) {
      if (pieces.count > 1) update_columns(matrix, 0, pieces.columns);
      update_rows(matrix);
      form_factors(matrix);
    }
  });
}

template <class T>
void SecondMoments<T>::measure(const linalg::Team<T>& team) const {
  pieces.each(team, [&](std::int64_t piece, std::int64_t first, std::int64_t last) {
    Source<T> gradient = source();
    engine::Largest<T> largest;
    if (vector != nullptr) {
      alignas(64) T buffer[stretch<T>];
      for_each_stretch<T>(first * pieces.columns, last * pieces.columns,
                          [&](std::int64_t at, std::int64_t n) { largest.add(gradient.read(at, n, buffer), n); });
    } else {
      pieces.each_part(first, last, [&](std::int64_t part, std::int64_t row, std::int64_t end) {
        double* const of_columns = sums + part * pieces.columns;
        std::fill_n(of_columns, pieces.columns, 0.0);
        const RowSquares<T> squares{pieces.columns, of_columns, means, largest};
        pieces.narrow() ? squares.of_narrow_rows(gradient, row, end) : squares.of_rows(gradient, row, end);
      });
    }
    most[piece] = largest.value();
  });
}

template <class T>
void SecondMoments<T>::update_vector(const linalg::Team<T>& team) const {
  pieces.each(team, [&](std::int64_t, std::int64_t first, std::int64_t last) {
    Source<T> gradient = source();
    alignas(64) T buffer[stretch<T>];
    for_each_stretch<T>(first * pieces.columns, last * pieces.columns, [&](std::int64_t at, std::int64_t n) {
      const T* const x = gradient.read(at, n, buffer);
      for (std::int64_t i = 0; i < n; ++i) vector[at + i] = averaged(vector[at + i], double(x[i]) * double(x[i]) + added);
    });
  });
}

template <class T>
void SecondMoments<T>::update_columns(std::int64_t matrix, std::int64_t begin, std::int64_t end) const {
  double* const total = sums + matrix * pieces.of_matrix * pieces.columns;
  for (std::int64_t piece = 1; piece < pieces.of_matrix; ++piece)
    for (std::int64_t j = begin; j < end; ++j) total[j] += total[piece * pieces.columns + j];
  T* const state = columns + matrix * pieces.columns;
  for (std::int64_t j = begin; j < end; ++j) state[j] = averaged(state[j], total[j] / double(pieces.rows) + added);
}

template <class T>
void SecondMoments<T>::update_rows(std::int64_t matrix) const {
  for (std::int64_t row = matrix * pieces.rows; row < (matrix + 1) * pieces.rows; ++row)
    rows[row] = averaged(rows[row], means[row] + added);
}

template <class T>
void SecondMoments<T>::form_factors(std::int64_t matrix) const {
  const T *of_rows = rows + matrix * pieces.rows, *of_columns = columns + matrix * pieces.columns;
  double mean = 0;
  for (std::int64_t i = 0; i < pieces.rows; ++i) mean += double(of_rows[i]);
  mean = rules::max(mean / double(pieces.rows), std::max(least, std::numeric_limits<double>::min()));
  for (std::int64_t i = 0; i < pieces.rows; ++i)
    row_factors[matrix * pieces.rows + i] = static_cast<T>(std::sqrt(double(of_rows[i]) / mean));
  T* const factors = column_factors + matrix * pieces.columns;
  double* const of_weights = weights + matrix * pieces.columns;
  T lowest = std::numeric_limits<T>::max();
  for (std::int64_t j = 0; j < pieces.columns; ++j) {
    factors[j] = static_cast<T>(std::sqrt(double(of_columns[j])));
    of_weights[j] = 1 / (double(factors[j]) * double(factors[j]));
    lowest = factors[j] >= lowest ? lowest : factors[j];  // NaN too
  }
  least_factors[matrix] = lowest;
}

template <class T>
void SecondMoments<T>::scale(std::int64_t begin, std::int64_t n, const T* x, T* u) const {
  if (vector != nullptr) {
    for (std::int64_t j = 0; j < n; ++j) u[j] = std::sqrt(vector[begin + j]);
  } else {
    std::int64_t row = begin / pieces.columns, column = begin % pieces.columns;
    for (std::int64_t at = 0; at < n; ++row, column = 0) {
      const T* const of_columns = column_factors + row / pieces.rows * pieces.columns + column;
      const std::int64_t count = std::min(n - at, pieces.columns - column);
      for (std::int64_t j = 0; j < count; ++j) u[at + j] = row_factors[row] * of_columns[j];
      at += count;
    }
  }
  const T floor = static_cast<T>(least);
  for (std::int64_t j = 0; j < n; ++j) {
    const T root = rules::max(u[j], floor);
    u[j] = root == T(0) ? T(0) : x[j] / root;
  }
}

// No root of this row meets its floor or leaves the normal numbers: then u^2 is x^2 times a weight of the column and one of
// the row, and a quotient for each element is spared. Double has no wider type to hold them.
template <class T>
bool SecondMoments<T>::has_weights(std::int64_t row) const {
  const T floor = std::max(static_cast<T>(least), std::numeric_limits<T>::min());
  return sizeof(T) < sizeof(double) && row_factors[row] * least_factors[row / pieces.rows] >= floor;
}

template <class T>
double SecondMoments<T>::sum_of_squares(std::int64_t first, std::int64_t last) const {
  Source<T> gradient = source();
  alignas(64) T buffer[stretch<T>], u[stretch<T>];
  double sum = 0;
  if (vector != nullptr || pieces.narrow()) {
    engine::Lanes lanes;
    for_each_stretch<T>(first * pieces.columns, last * pieces.columns, [&](std::int64_t at, std::int64_t n) {
      scale(at, n, gradient.read(at, n, buffer), u);
      lanes.add_squares(u, n);
    });
    return lanes.total();
  }
  for_each_band(first, last, [&](std::int64_t row, int count) {
    engine::Lanes lanes[abreast];
    for (std::int64_t j = 0; j < pieces.columns; j += stretch<T>) {
      const std::int64_t n = std::min(stretch<T>, pieces.columns - j);
      for (int r = 0; r < count; ++r) {
        const T* const x = gradient.read((row + r) * pieces.columns + j, n, buffer);
        if (has_weights(row + r)) {
          lanes[r].add_squares(x, weights + (row + r) / pieces.rows * pieces.columns + j, n);
        } else {
          scale((row + r) * pieces.columns + j, n, x, u);
          lanes[r].add_squares(u, n);
        }
      }
    }
    for (int r = 0; r < count; ++r) {
      const double factor = double(row_factors[row + r]);
      sum += has_weights(row + r) ? lanes[r].total() / (factor * factor) : lanes[r].total();
    }
  });
  return sum;
}

template struct SecondMoments<float>;
template struct SecondMoments<double>;

}  // namespace fastopt::matrix
