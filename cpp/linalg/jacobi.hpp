// Jacobi's method for one symmetric matrix of any order: slower than tridiagonalisation, and accurate where that is not.
//
// Positive definite: A = L L' by Cholesky with diagonal pivoting, then one-sided Jacobi on the columns of L: L J = V S,
// A = V S^2 V'. Every eigenvalue has a relative error of about n eps kappa(D A D), with D such that the diagonal of D A D is
// 1, however graded A itself is (Demmel and Veselic, SIAM J. Matrix Anal. Appl. 13 (1992), 1204-1245; the pivoting makes L's
// columns nearly orthogonal: Veselic and Hari, Numer. Math. 56 (1989), 627-633).
// Otherwise: two-sided cyclic Jacobi until |a_ij| <= eps sqrt|a_ii a_jj|; for indefinite matrices the bound is the usual
// one, n eps ||A||, although graded ones often come out better.
#pragma once
#include <cstdint>

#include "linalg/load.hpp"
#include "linalg/workspace.hpp"

namespace fastopt::linalg {

// w: n values, ascending. v: n x n, columns contiguous, or null. Throws as eigh(). Working memory: n^2 entries.
template <class T>
void jacobi_eigh(Source<T> a, std::int64_t n, T* w, T* v, Interrupt interrupt);

}  // namespace fastopt::linalg
