// Eigenvalues of a symmetric tridiagonal matrix by counting: all of them at once, one shift per vector lane.
#pragma once
#include <cstdint>

#include "linalg/team.hpp"

namespace fastopt::linalg {

// values (n, ascending) of the matrix with diagonal d and off-diagonal e; absolute error a few eps ||T||.
template <class T>
void sturm_values(const T* d, const T* e, std::int64_t n, T* values, const Team<T>& team, Interrupt interrupt);

}  // namespace fastopt::linalg
