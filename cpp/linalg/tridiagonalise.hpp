// Q' A Q = T by Householder reflections H_k = I - tau_k v_k v_k', Q = H_0 H_1 ... H_{n-2}.
#pragma once
#include <cstdint>

#include "linalg/team.hpp"
#include "linalg/workspace.hpp"

namespace fastopt::linalg {

// The working matrix: lower triangle, columns `ld` apart, `padded` rows and columns of which those from n on are zero.
template <class T>
struct Shape {
  explicit Shape(std::int64_t n);
  std::int64_t n, padded, ld;
  std::int64_t size() const { return ld * padded; }
};

// Overwrites a: column k keeps v_k in rows k + 1 .. n - 1, its leading 1 included. d has n entries, e and tau n - 1.
template <class T>
void tridiagonalise(T* a, Shape<T> shape, T* d, T* e, T* tau, const Team<T>& team, Interrupt interrupt);

}  // namespace fastopt::linalg
