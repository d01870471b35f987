// A stack of symmetric matrices of one order: small ones many at once in the lanes of vectors, medium ones shared out to
// the threads, large ones one after the other, each with all threads.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "linalg/load.hpp"
#include "linalg/workspace.hpp"

namespace fastopt::linalg {

template <class T>
struct Stack {
  const T* a;                                // entry (i, j) of the first matrix is a[i * row + j * column]
  std::int64_t n, count;                     // order; number of matrices, the product of shape
  std::vector<std::int64_t> shape, strides;  // leading axes, strides in elements
  std::int64_t row, column;
  bool lower;           // the triangle that is read
  T *w, *v;             // w (count, n); v (count, n, n) or null
  bool rows = true;     // row j of v is vector j; else column j
  bool jacobi = false;  // by jacobi_eigh(), whatever the order

  // Matrices are counted in C order.
  Source<T> matrix(std::int64_t index) const {
    const T* p = a;
    for (std::size_t axis = shape.size(); axis-- > 1; index /= shape[axis]) p += index % shape[axis] * strides[axis];
    if (!shape.empty()) p += index * strides[0];
    return {p, row, column, lower};
  }
};

// The first matrix of which no answer can be given, and why.
struct Failure {
  std::int64_t index = -1;
  std::string what;
  explicit operator bool() const { return index >= 0; }
};

// Matrix `index` of w, and of v, may be written as soon as that matrix has been read, so results may lie where the matrices
// do. Throws Interrupted, std::bad_alloc (then anything may have been written).
template <class T>
Failure solve_stack(const Stack<T>& stack, Interrupt interrupt);

}  // namespace fastopt::linalg
