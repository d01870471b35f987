// P A P' = L D L': L unit lower triangular, D of 1 x 1 and 2 x 2 blocks, for any symmetric matrix.
//
// Rook pivoting (Ashcraft, Grimes and Lewis, SIAM J. Matrix Anal. Appl. 20(2), 1998), a little relaxed: no entry of L
// exceeds 6.4 in magnitude, and a 2 x 2 block always has one eigenvalue of each sign. Panels look left, the rest is updated
// by products.
#pragma once
#include <cstdint>
#include <vector>

#include "linalg/team.hpp"
#include "linalg/tridiagonalise.hpp"
#include "linalg/workspace.hpp"

namespace fastopt::linalg {

// The matrix, then its factors. Rows of L within a panel stand in the order of that panel's end: later panels' exchanges
// are left to whoever multiplies by L (Walk in probes.cpp), which saves n^2 / 2 strided accesses.
template <class T>
struct Ldlt {
  explicit Ldlt(std::int64_t n);

  T* column(std::int64_t k) const { return a.get() + k * shape.ld; }

  Shape<T> shape;
  Buffer<T> a;                       // L below the diagonal, column by column
  Buffer<T> diagonal, below;         // of D; below[k] != 0 marks a 2 x 2 block at k, k + 1
  std::vector<std::int64_t> pivots;  // rows k and pivots[k] were exchanged
  std::vector<std::int64_t> panels;  // first columns, then the rank
  std::int64_t rank = 0, negative = 0, positive = 0;
};

// Factorises the matrix in f.a (lower triangle, as load_scaled leaves it). Stops at rank k when no entry of what is left
// exceeds `negligible`: then A - P' L D L' P, L having k columns, is that rest and rounding errors.
template <class T>
void factorise(Ldlt<T>& f, T negligible, const Team<T>& team, Interrupt interrupt);

}  // namespace fastopt::linalg
