// How a factor of Kron's preconditioner learns: Q <- Q - rate triu(A A' - B B') Q / |A A' + B B'|, with A the gradient times
// the factors, B a random vector times their inverses, both unfolded along the factor's side.
#pragma once
#include "matrix/factors.hpp"

namespace fastopt::matrix {

// Memory of one update.
template <class T>
struct WhiteningWork {
  T *first, *second;  // squares of the widest triangular factor
  double* vectors;    // three of the longest side

  static std::size_t bytes(const Factors& of) {
    return 2 * Scratch::bytes<T>(of.widest * of.widest) + Scratch::bytes<double>(3 * of.longest);
  }
  WhiteningWork(const Factors& of, Scratch& scratch)
      : first(scratch.take<T>(of.widest * of.widest)),
        second(scratch.take<T>(of.widest * of.widest)),
        vectors(scratch.take<double>(3 * of.longest)) {}
};

// `rate` < 1: then the diagonal of Q stays positive. a and b are no larger than about 1.
template <class T>
void whiten(const Factors::Factor& factor, const T* a, const T* b, double rate, T* q, const WhiteningWork<T>& work,
            const Team<T>& team);

// A bound below the 2-norm of a symmetric positive semidefinite matrix, and above its largest row: a step of the power
// method from that row. work: three vectors.
template <class T>
double norm_lower_bound(const T* a, std::int64_t n, double* work, const Team<T>& team);

}  // namespace fastopt::matrix
