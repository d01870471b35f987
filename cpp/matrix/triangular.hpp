// Upper triangular and diagonal matrices along a side of a tensor (tensor_sides.hpp). Each is stored in C order, a
// triangular one as a square with zeros below.
#pragma once
#include "matrix/tensor_sides.hpp"

namespace fastopt::matrix {

// y = x with index i of the side replaced by sum_j q[i][j] x[j], or q[j][i] if `transposed`.
template <class T>
void multiply_upper(const T* x, const Side& side, const T* q, bool transposed, T* y, const Team<T>& team);

// x <- y with sum_i y[i] q[i][j] = x[j] along the side: x times the inverse of q from the right.
template <class T>
void solve_upper(T* x, const Side& side, const T* q, const Team<T>& team);

// x[i] <- x[i] q[i], or x[i] / q[i].
template <class T>
void multiply_diagonal(T* x, const Side& side, const T* q, bool inverse, const Team<T>& team);

}  // namespace fastopt::matrix
