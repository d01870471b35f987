// Eigenvalues, and eigenvectors, of one dense symmetric matrix: A = V diag(w) V'.
//
//   load (one triangle, finite check, scaling) -> tridiagonalise -> values only: Sturm counts and bracketed roots
//                                                               -> vectors too: divide and conquer, back-transformation
// docs/design/eigensolver.md has the reasons and the measurements.
#pragma once
#include <cstdint>

#include "linalg/load.hpp"
#include "linalg/team.hpp"
#include "linalg/workspace.hpp"

namespace fastopt::linalg {

// Both throw std::domain_error when the triangle holds NaN or infinity, std::runtime_error when no method converged (never
// seen), std::bad_alloc, Interrupted. The other triangle is never read, the input never written.

// w: n values, ascending. Working memory: about n^2 entries.
template <class T>
void eigvalsh(Source<T> a, std::int64_t n, T* w, Interrupt interrupt);

// v: n x n, columns contiguous (v[i + j n] is entry i of vector j). Working memory: about 2.5 n^2 entries.
template <class T>
void eigh(Source<T> a, std::int64_t n, T* w, T* v, Interrupt interrupt);

// The same with a team of the caller's: the bits depend on its size, not on the threads that there are.
template <class T>
void eigh(Source<T> a, std::int64_t n, T* w, T* v, const Team<T>& team, Interrupt interrupt);

}  // namespace fastopt::linalg
