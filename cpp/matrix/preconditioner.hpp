// Kron's preconditioner P = Q'Q of a tensor, Q a factor for each side.
#pragma once
#include "matrix/whitening.hpp"

namespace fastopt::matrix {

template <class T>
struct Preconditioner {
  const Factors& factors;
  T* q;  // the factors, one behind the other
  const Team<T>& team;

  // The identity, times `scale` as a whole.
  void start(double scale) const;
  // The same largest element for all factors, whose product stays.
  void balance() const;
  // x <- Q x or Q' x, x in `from` before and after; the two may have changed places.
  void multiply(T*& from, T*& to, bool transposed) const;
  // x <- the inverse of Q' times x.
  void solve(T* x) const;
  // All factors learn (whitening.hpp) from a and b, which have been multiplied and solved.
  void learn(const T* a, const T* b, double rate, const WhiteningWork<T>& work) const;

 private:
  T largest_of(const Factors::Factor& factor) const;
  void scale_factor(const Factors::Factor& factor, double by) const;
  double amplitude() const;
  void keep_in_range() const;
};

}  // namespace fastopt::matrix
