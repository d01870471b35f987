// A^(-1/p) of a positive semidefinite matrix, by its eigenvectors.
#pragma once
#include <cstdint>

#include "linalg/team.hpp"

namespace fastopt::matrix {

std::int64_t inverse_root_work(std::int64_t n);

// root (n x n, symmetric) <- a^(-1 / p). Eigenvalues below `least`, and below n eps times the largest, where they are
// rounding alone, are taken for that. NaN where a is not finite; false, and root as it was, where there was no memory.
template <class T>
bool inverse_root(const T* a, std::int64_t n, double p, double least, T* root, T* work, const linalg::Team<T>& team);

}  // namespace fastopt::matrix
