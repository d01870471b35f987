// Eigenvalues and vectors of a symmetric tridiagonal matrix by divide and conquer (Cuppen 1981), orthogonal to working
// accuracy by the recomputed z of Gu and Eisenstat (SIAM J. Matrix Anal. Appl. 16, 1995).
#pragma once
#include <cstdint>

#include "linalg/team.hpp"
#include "linalg/workspace.hpp"

namespace fastopt::linalg {

// d (n) and e (n, last entry unused) are destroyed; d becomes the eigenvalues, ascending, and q (n x n, columns ld apart)
// the vectors. False when a leaf did not converge.
template <class T>
bool divide_conquer(T* d, T* e, std::int64_t n, T* q, std::int64_t ld, const Team<T>& team, Interrupt interrupt);

}  // namespace fastopt::linalg
