// The implicit QL iteration with Wilkinson's shift: tiny tridiagonal problems and the leaves of divide and conquer.
#pragma once
#include <cstdint>

namespace fastopt::linalg {

// d (n) becomes the eigenvalues, ascending; e (n, the last entry unused) is destroyed. With vectors, the `rows` x n matrix
// (columns ld apart) is multiplied from the right by the eigenvectors. Returns false if an eigenvalue needed more than 60
// sweeps, which no matrix is known to.
template <class T>
bool ql(T* d, T* e, std::int64_t n, T* vectors, std::int64_t rows, std::int64_t ld);

}  // namespace fastopt::linalg
