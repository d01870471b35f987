// Q'AQ = T, one matrix per lane: Householder reflections from the last row up, so that T is graded as A is and suits QL
// (the arrangement of EISPACK's tred2; Golub and Van Loan, Matrix Computations, section 8.3.1).
#pragma once
#include "linalg/lane.hpp"
#include "linalg/lane_solve.hpp"

namespace fastopt::linalg {

// Rows per pass over a triangle: one dot product each stays in registers.
inline constexpr int lane_rows = vector_bytes == 64 ? 4 : 2;

// p += A v for the rows j .. j + G - 1 of the lower triangle, both halves.
template <int G, class X, class N>
inline void lane_symv(const X* a, N n, int j, const X* v, X* p) {
  X dot[G] = {}, mine[G];
  for (int g = 0; g < G; ++g) mine[g] = v[j + g];
  for (int k = 0; k < j; ++k) {
    X pk = p[k];
    const X vk = v[k];
    for (int g = 0; g < G; ++g) {
      const X entry = a[(j + g) * n + k];
      pk = pk + entry * mine[g];
      dot[g] = dot[g] + entry * vk;
    }
    p[k] = pk;
  }
  for (int g = 0; g < G; ++g) {
    for (int h = 0; h < G; ++h) dot[g] = dot[g] + (h <= g ? a[(j + g) * n + j + h] : a[(j + h) * n + j + g]) * mine[h];
    p[j + g] = dot[g];
  }
}

// A -= v w' + w v' in the same rows.
template <int G, class X, class N>
inline void lane_update(X* a, N n, int j, const X* v, const X* w) {
  X vj[G], wj[G];
  for (int g = 0; g < G; ++g) vj[g] = v[j + g], wj[g] = w[j + g];
  for (int k = 0; k < j; ++k) {
    const X vk = v[k], wk = w[k];
    for (int g = 0; g < G; ++g) a[(j + g) * n + k] = a[(j + g) * n + k] - vj[g] * wk - wj[g] * vk;
  }
  for (int g = 0; g < G; ++g)
    for (int h = 0; h <= g; ++h) a[(j + g) * n + j + h] = a[(j + g) * n + j + h] - vj[g] * wj[h] - wj[g] * vj[h];
}

// The reflection I - tau v v' that leaves of x (i entries) only the last: x becomes v, v[i - 1] = 1. Returns that entry.
template <class T, class X>
inline X lane_reflection(X* x, int i, X& tau) {
  X even = {}, odd = {};
  for (int k = 0; k + 1 < i; k += 2) {
    even = even + x[k] * x[k];
    if (k + 2 < i) odd = odd + x[k + 1] * x[k + 1];
  }
  const X rest = even + odd, alpha = x[i - 1], one = Lane<T, X>::all(1);
  const auto small = rest <= Lane<T, X>::all(square_floor<T>);
  const X norm = root<T>(rest + alpha * alpha), beta = select(alpha < X{}, norm, -norm);
  tau = select(small, X{}, (beta - alpha) / select(small, one, beta));
  const X scale = select(small, X{}, one / select(small, one, alpha - beta));
  for (int k = 0; k + 1 < i; ++k) x[k] = x[k] * scale;
  x[i - 1] = one;
  return select(small, alpha, beta);
}

// Lower triangle of a (n x n, by rows) -> d (n), e (n, the last entry zero); row i keeps v_i, tau[i] its factor, for
// lane_orthogonal.
template <class T, class X, class N>
inline void lane_tridiagonalise(X* a, N n, X* d, X* e, X* tau) {
  X p[lane_order];
  for (int i = n - 1; i >= 2; --i) {
    X* v = a + i * n;
    d[i] = v[i];
    e[i - 1] = lane_reflection<T>(v, i, tau[i]);
    for (int k = 0; k < i; ++k) p[k] = X{};
    int j = 0;
    for (; j + lane_rows <= i; j += lane_rows) lane_symv<lane_rows>(a, n, j, v, p);
    for (; j < i; ++j) lane_symv<1>(a, n, j, v, p);
    X dot = {};
    for (int k = 0; k < i; ++k) {
      p[k] = p[k] * tau[i];
      dot = dot + p[k] * v[k];
    }
    const X half = dot * tau[i] * Lane<T, X>::all(T(0.5));
    for (int k = 0; k < i; ++k) p[k] = p[k] - half * v[k];
    for (j = 0; j + lane_rows <= i; j += lane_rows) lane_update<lane_rows>(a, n, j, v, p);
    for (; j < i; ++j) lane_update<1>(a, n, j, v, p);
  }
  if (n > 1) d[1] = a[n + 1], e[0] = a[n];
  d[0] = a[0];
  e[n - 1] = X{};
}

// G columns from j on of the leading i x i block: Q <- (I - tau v v') Q.
template <int G, class X, class N>
inline void lane_reflect(X* q, N n, int i, int j, const X* v, const X& tau) {
  X dot[G] = {};
  for (int k = 0; k < i; ++k)
    for (int g = 0; g < G; ++g) dot[g] = dot[g] + v[k] * q[k * n + j + g];
  for (int g = 0; g < G; ++g) dot[g] = dot[g] * tau;
  for (int k = 0; k < i; ++k)
    for (int g = 0; g < G; ++g) q[k * n + j + g] = q[k * n + j + g] - v[k] * dot[g];
}

// Q in place of the reflections: the leading block grows by one row and column with each, and covers only spent ones.
template <class T, class X, class N>
inline void lane_orthogonal(X* a, N n, const X* tau) {
  const X one = Lane<T, X>::all(1);
  a[0] = one;
  for (int i = 1; i < n; ++i) {
    X* v = a + i * n;
    if (i > 1) {
      int j = 0;
      for (; j + lane_rows <= i; j += lane_rows) lane_reflect<lane_rows>(a, n, i, j, v, tau[i]);
      for (; j < i; ++j) lane_reflect<1>(a, n, i, j, v, tau[i]);
    }
    for (int k = 0; k < i; ++k) v[k] = a[k * n + i] = X{};
    v[i] = one;
  }
}

}  // namespace fastopt::linalg
