// Cyclic Jacobi on a matrix of order N <= 4 per lane, norm about 1 (Golub and Van Loan, section 8.5; Rutishauser 1966 for
// the form of the rotation). Accurate to a few ulps of the norm, with one rotation for N = 2.
#pragma once
#include "linalg/lane.hpp"

namespace fastopt::linalg {

// An entry so small beside its two diagonal entries, or beside the matrix, that it is zero.
template <class T, class X>
inline Mask<T, X> lane_negligible(const X& pq, const X& pp, const X& qq) {
  constexpr T eps = std::numeric_limits<T>::epsilon();
  return pq * pq <= Lane<T, X>::all(eps * eps / 16) * magnitude(pp * qq) + Lane<T, X>::all(eps * eps * eps * eps);
}

// Rotates rows and columns p < q so that a[q][p] vanishes. A negligible entry is dropped: the rotation is the identity.
template <int N, bool Vectors, class T, class X>
inline void lane_jacobi_rotation(X (&a)[N][N], X* z, int p, int q) {
  using L = Lane<T, X>;
  const X one = L::all(1), pq = a[q][p];
  const auto drop = lane_negligible<T>(pq, a[p][p], a[q][q]);
  const X half = (a[q][q] - a[p][p]) * L::all(T(0.5)), r = root<T>(half * half + pq * pq);
  const X t = select(drop, X{}, pq / select(drop, one, half + select(half < X{}, -r, r)));
  a[p][p] = a[p][p] - t * pq;
  a[q][q] = a[q][q] + t * pq;
  a[q][p] = X{};
  if (N == 2 && !Vectors) return;
  const X c = one / root<T>(one + t * t), s = t * c;
  const auto turn = [&](X& x, X& y) {
    const X before = x;
    x = c * x - s * y;
    y = s * before + c * y;
  };
#pragma GCC unroll 4
  for (int k = 0; k < N; ++k) {
    if (k != p && k != q) turn(k < p ? a[p][k] : a[k][p], k < q ? a[q][k] : a[k][q]);
    if (Vectors) turn(z[k * N + p], z[k * N + q]);
  }
}

// entries: N x N by rows, the lower triangle; becomes the vectors (by rows of Z) if asked for. d: the values, in any order.
// Returns the lanes that did not converge: five sweeps are usual.
template <int N, bool Vectors, class T, class X>
inline Mask<T, X> lane_jacobi(X* entries, X* d) {
  X a[N][N];
#pragma GCC unroll 4
  for (int i = 0; i < N; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
      a[i][j] = j <= i ? entries[i * N + j] : X{};
      if (Vectors) entries[i * N + j] = i == j ? Lane<T, X>::all(1) : X{};
    }
  Mask<T, X> left{};
  for (int sweep = 0; sweep < 15; ++sweep) {
    if constexpr (N == 4) {  // in pairs that do not depend on each other
      constexpr int ps[] = {0, 2, 0, 1, 0, 1}, qs[] = {1, 3, 2, 3, 3, 2};
#pragma GCC unroll 6
      for (int k = 0; k < 6; ++k) lane_jacobi_rotation<N, Vectors, T>(a, entries, ps[k], qs[k]);
    } else {
#pragma GCC unroll 4
      for (int p = 0; p < N; ++p)
#pragma GCC unroll 4
        for (int q = p + 1; q < N; ++q) lane_jacobi_rotation<N, Vectors, T>(a, entries, p, q);
    }
    if (N == 2) break;
    left = Mask<T, X>{};
#pragma GCC unroll 4
    for (int p = 0; p < N; ++p)
#pragma GCC unroll 4
      for (int q = p + 1; q < N; ++q) left = left | (lane_negligible<T>(a[q][p], a[p][p], a[q][q]) == Mask<T, X>{});
    if (!any(left)) break;
  }
  for (int i = 0; i < N; ++i) d[i] = a[i][i];
  return left;
}

}  // namespace fastopt::linalg
