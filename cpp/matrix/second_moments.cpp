#include "matrix/second_moments.hpp"

#include <cmath>

#include "engine/lanes.hpp"
#include "matrix/range.hpp"
#include "rules/rule.hpp"

namespace fastopt::matrix {

template <class T>
std::size_t SecondMoments<T>::scratch(const MatrixView& view) {
  const Pieces p(view);
  return Scratch::bytes<double>(p.all() * p.columns) + Scratch::bytes<double>(p.count * p.rows) +
         Scratch::bytes<T>(p.all()) + Scratch::bytes<T>(p.count * p.rows) + Scratch::bytes<T>(p.count * p.columns);
}

template <class T>
void SecondMoments<T>::take(Scratch& scratch) {
  sums = scratch.take<double>(pieces.all() * pieces.columns);
  means = scratch.take<double>(pieces.count * pieces.rows);
  most = scratch.take<T>(pieces.all());
  row_factors = scratch.take<T>(pieces.count * pieces.rows);
  column_factors = scratch.take<T>(pieces.count * pieces.columns);
}

// No state is written before it is known that their squares are numbers. Sums are in double, where those of float32 are.
template <class T>
void SecondMoments<T>::update(const linalg::Team<T>& team) const {
  measure(team);
  const std::int64_t summed = sizeof(T) == sizeof(double) ? pieces.size() : 1;
  const T by = into_range(engine::largest(most, pieces.all()), summed, added == 0 && least == 0);
  if (by != T(1)) {
    matrix::scale(team, by, pieces.size(), x);
    measure(team);
  }
  if (vector != nullptr) return update_vector(team);
  for (std::int64_t matrix = 0; matrix < pieces.count; ++matrix) {
    team.split(pieces.columns, 512, double(pieces.of_matrix * pieces.columns),
               [&](std::int64_t begin, std::int64_t end, linalg::Packs<T>&) { update_columns(matrix, begin, end); });
    update_rows(matrix);
    form_factors(matrix);
  }
}

template <class T>
void SecondMoments<T>::measure(const linalg::Team<T>& team) const {
  pieces.each(team, [&](std::int64_t piece, std::int64_t first, std::int64_t last) {
    most[piece] = T(0);
    if (vector != nullptr)
      most[piece] = engine::largest(x + first * pieces.columns, (last - first) * pieces.columns);
    else
      measure_rows(piece, first, last);
  });
}

template <class T>
void SecondMoments<T>::measure_rows(std::int64_t piece, std::int64_t first, std::int64_t last) const {
  const std::int64_t n = pieces.columns;
  double* const of_columns = sums + piece * n;
  std::fill_n(of_columns, n, 0.0);
  for (std::int64_t row = first; row < last; ++row) {
    const T of[2] = {most[piece], engine::largest(x + row * n, n)};
    most[piece] = engine::largest(of, 2);
    const T* const of_row = x + row * n;
    engine::Lanes lanes;
    lanes.add_squares(of_row, n);
    for (std::int64_t j = 0; j < n; ++j) of_columns[j] += double(of_row[j]) * double(of_row[j]);
    means[row] = lanes.total() / double(n);
  }
}

template <class T>
void SecondMoments<T>::update_vector(const linalg::Team<T>& team) const {
  pieces.each(team, [&](std::int64_t, std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first * pieces.columns; i < last * pieces.columns; ++i)
      vector[i] = averaged(vector[i], double(x[i]) * double(x[i]) + added);
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
  for (std::int64_t j = 0; j < pieces.columns; ++j)
    column_factors[matrix * pieces.columns + j] = static_cast<T>(std::sqrt(double(of_columns[j])));
}

template <class T>
void SecondMoments<T>::scale(std::int64_t row, std::int64_t at, std::int64_t n, T* u) const {
  const std::int64_t begin = row * pieces.columns + at;
  const T floor = static_cast<T>(least);
  const auto over = [](T value, T root) { return root == T(0) ? T(0) : value / root; };
  if (vector != nullptr) {
    for (std::int64_t j = 0; j < n; ++j) u[j] = over(x[begin + j], rules::max(std::sqrt(vector[begin + j]), floor));
  } else {
    const T* const of_columns = column_factors + row / pieces.rows * pieces.columns + at;
    const T of_row = row_factors[row];
    for (std::int64_t j = 0; j < n; ++j) u[j] = over(x[begin + j], rules::max(of_row * of_columns[j], floor));
  }
}

template struct SecondMoments<float>;
template struct SecondMoments<double>;

}  // namespace fastopt::matrix
