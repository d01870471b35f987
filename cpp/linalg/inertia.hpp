// How many eigenvalues of a symmetric matrix are negative, zero, positive, and above which magnitude that is certain.
//
//   load -> probe A -> P A P' = L D L' -> probe the error and the inverse -> a gap around zero: the signs of D are the
//   answer
//                                                                     -> none: factorise A + bound I and A - bound I
// docs/design/inertia.md has the argument with its constants.
#pragma once
#include <cstdint>

#include "linalg/load.hpp"
#include "linalg/workspace.hpp"

namespace fastopt::linalg {

// negative + zero + positive = n. Each eigenvalue beyond `bound` is counted by its sign, each counted as zero is not beyond
// it, and none is counted with the wrong sign. `factorisations` tells which way was gone: 0 to 3, more if rounding lost more
// than the shift.
struct Inertia {
  std::int64_t negative, zero, positive;
  double bound;
  int factorisations;
};

// Throws as eigvalsh does. Working memory: about n^2 entries.
template <class T>
Inertia inertia(Source<T> a, std::int64_t n, double tol, Interrupt interrupt);

}  // namespace fastopt::linalg
