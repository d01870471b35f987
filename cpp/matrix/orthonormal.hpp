// Orthonormal columns that span what the columns of a square matrix span, one after the other: the Q of A = Q R with R's
// diagonal positive, by Householder reflections in panels (Golub and Van Loan, Matrix Computations, 5.2.3).
//
// Columns may differ by any power of two and may depend on others: each is scaled by itself, which leaves Q alone, and where
// nothing is left of one its place is taken by a vector orthogonal to the rest. Orthonormal to n eps, whatever A.
#pragma once
#include <cstdint>

#include "linalg/team.hpp"

namespace fastopt::matrix {

// Entries of working memory that it needs beside the two matrices; the team's packing buffers must be there as well.
std::int64_t orthonormal_work(std::int64_t n);

// a, q: n x n, columns contiguous. a is overwritten.
template <class T>
void orthonormal_columns(T* a, std::int64_t n, T* q, T* work, const linalg::Team<T>& team);

}  // namespace fastopt::matrix
