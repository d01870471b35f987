#include "matrix/row_squares.hpp"

#include <algorithm>

namespace fastopt::matrix {
namespace {

template <class T>
void add_squares_of_columns(const T* const* rows, int count, std::int64_t n, double* sums) {
  const auto square = [](T x) { return double(x) * double(x); };
  if (count == abreast) {
    const T *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3];
    for (std::int64_t j = 0; j < n; ++j) sums[j] += (square(a[j]) + square(b[j])) + (square(c[j]) + square(d[j]));
  } else {
    for (int r = 0; r < count; ++r)
      for (std::int64_t j = 0; j < n; ++j) sums[j] += square(rows[r][j]);
  }
}

}  // namespace

template <class T>
void RowSquares<T>::of_rows(Source<T>& gradient, std::int64_t first, std::int64_t last) const {
  alignas(64) T buffers[abreast][stretch<T>];
  for_each_band(first, last, [&](std::int64_t row, int count) {
    engine::Lanes lanes[abreast];
    for (std::int64_t j = 0; j < columns; j += stretch<T>) {
      const std::int64_t n = std::min(stretch<T>, columns - j);
      const T* x[abreast];
      for (int r = 0; r < count; ++r) {
        x[r] = gradient.read((row + r) * columns + j, n, buffers[r]);
        lanes[r].add_squares(x[r], n);
        largest.add(x[r], n);
      }
      add_squares_of_columns(x, count, n, of_columns + j);
    }
    for (int r = 0; r < count; ++r) means[row + r] = lanes[r].total() / double(columns);
  });
}

template <class T>
void RowSquares<T>::of_narrow_rows(Source<T>& gradient, std::int64_t first, std::int64_t last) const {
  alignas(64) T buffer[stretch<T>];
  const std::int64_t n = columns, at_once = stretch<T> / n;
  for (std::int64_t row = first; row < last; row += at_once) {
    const std::int64_t end = std::min(last, row + at_once);
    const T* x = gradient.read(row * n, (end - row) * n, buffer);
    largest.add(x, (end - row) * n);
    for (std::int64_t i = row; i < end; ++i, x += n) {
      double sum = 0;
      for (std::int64_t j = 0; j < n; ++j) {
        const double square = double(x[j]) * double(x[j]);
        sum += square;
        of_columns[j] += square;
      }
      means[i] = sum / double(n);
    }
  }
}

template struct RowSquares<float>;
template struct RowSquares<double>;

}  // namespace fastopt::matrix
