// The basis of a Lanczos iteration: n x capacity, columns contiguous, orthonormal. All work on long vectors that the
// iteration does outside of the operator happens here; docs/design/lanczos.md has the method.
//
// Every function is a pass over blocks of rows that stay in the second-level cache, shared among the threads of the pool.
// Sums are kept per chunk of rows in double and added in order: the same bits for every number of threads.
#pragma once
#include <cstdint>

#include "linalg/workspace.hpp"

namespace fastopt::linalg {

template <class T>
class Basis {
 public:
  // Memory is touched column by column, as the basis grows. std::bad_alloc when there is none.
  Basis(std::int64_t n, std::int64_t capacity) : n_(n), capacity_(capacity), v_(n * capacity) {}

  std::int64_t n() const { return n_; }
  std::int64_t capacity() const { return capacity_; }
  std::int64_t columns() const { return columns_; }

  // w <- scale w - V h with h = V' (scale w), orthogonal to the basis to working precision: classical Gram-Schmidt, twice
  // where once is not enough (Daniel, Gragg, Kaufman and Stewart, Math. Comp. 30, 1976). h: columns() entries. Returns |w|.
  double orthogonalise(T* w, double scale, double* h) const;

  // Needs columns() < capacity().
  void append(const T* w, double scale);

  const T* column(std::int64_t j) const { return v_.get() + j * n_; }
  void swap(std::int64_t i, std::int64_t j);
  void truncate(std::int64_t columns) { columns_ = columns; }

  // The first `rows` columns become V q, `kept` of them; those behind them follow. q: rows x kept, row-major, kept <= rows.
  void rotate(const double* q, std::int64_t rows, std::int64_t kept);

  // out (n x count, columns contiguous) = V q with the first `rows` columns. q: rows x count, row-major.
  void combine(const double* q, std::int64_t rows, std::int64_t count, T* out) const;

 private:
  std::int64_t n_, capacity_, columns_ = 0;
  Buffer<T> v_;
};

}  // namespace fastopt::linalg
