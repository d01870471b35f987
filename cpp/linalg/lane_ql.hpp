// The tridiagonal eigenproblem, one matrix per lane, norm about 1. Every lane has its own window [l, m]: the first value not
// yet found and the end of its unreduced block. A sweep runs over all windows together; outside its window a lane does
// nothing. So the number of sweeps is the largest of the lanes, not the sum over values of the largest.
#pragma once
#include "linalg/lane.hpp"
#include "linalg/lane_solve.hpp"

namespace fastopt::linalg {

template <class T, class X>
struct Window {
  using Int = typename Lane<T, X>::Int;
  Int l, m;
  X dl, dnext, dm, el;  // d[l], d[l + 1], d[m], e[l]
  int first;            // the smallest l
};

// Sweeps after which a lane is given to another solver. Two per value are usual, and no matrix is known to need five.
inline int sweep_limit(int n) { return 6 * n + 30; }

// Moves each window on; false when every lane is done. squares: e holds squares of the off-diagonal entries.
template <class T, class X, class N>
inline bool next_window(const X* d, const X* e, N n, bool squares, Window<T, X>& w) {
  using L = Lane<T, X>;
  constexpr T eps = std::numeric_limits<T>::epsilon();
  Mask<T, X> negligible[lane_order];
  const X relative = L::all(eps * eps / 4), floor = L::all(eps * eps * eps * eps);
  for (int i = w.first; i + 1 < n; ++i) {
    const X square = squares ? e[i] : e[i] * e[i];
    negligible[i] = square <= relative * magnitude(d[i] * d[i + 1]) + floor;
    w.l = select(negligible[i] & (w.l == L::every(i)), L::every(i + 1), w.l);
  }
  while (w.first + 1 < n && !any(w.l == L::every(w.first))) ++w.first;
  if (w.first + 1 >= n) return false;
  w.m = L::every(n - 1);
  w.dm = d[n - 1];
  for (int i = n - 2; i >= w.first; --i) {
    const auto ends = negligible[i] & (w.l < L::every(i));
    w.m = select(ends, L::every(i), w.m);
    w.dm = select(ends, d[i], w.dm);
    const auto here = w.l == L::every(i);
    w.dl = select(here, d[i], w.dl);
    w.dnext = select(here, d[i + 1], w.dnext);
    w.el = select(here, e[i], w.el);
  }
  return true;
}

// Wilkinson's shift for the block at l is d[l] minus this: e^2 / (h + sign(h) sqrt(h^2 + e^2)), h half of d[l + 1] - d[l].
template <class T, class X>
inline X wilkinson(const X& dl, const X& dnext, const X& square) {
  using L = Lane<T, X>;
  const X half = (dnext - dl) * L::all(T(0.5));
  const X r = root<T>(half * half + square), sum = half + select(half < X{}, -r, r);
  return square / select(sum == X{}, L::all(1), sum);
}

// d becomes the eigenvalues, in any order; e is destroyed. The square-root free sweep of Pal, Walker and Kahan (Parlett, The
// Symmetric Eigenvalue Problem, section 8.15). The reciprocal of the cosine is formed beside it, off the critical path.
// Returns the lanes that did not converge.
template <class T, class X, class N>
inline Mask<T, X> lane_values(X* d, X* e, N n) {
  using L = Lane<T, X>;
  const X one = L::all(1), tiny = L::all(square_floor<T>);
  for (int i = 0; i + 1 < n; ++i) e[i] = e[i] * e[i];
  Window<T, X> w{};
  for (int sweeps = sweep_limit(n); next_window(d, e, n, true, w); --sweeps) {
    if (sweeps == 0) break;
    const X sigma = w.dl - wilkinson<T>(w.dl, w.dnext, w.el);
    X gamma = w.dm - sigma, p = gamma * gamma, c = one, s = {};
    for (int i = n - 2; i >= w.first; --i) {
      const auto at = L::every(i);
      const auto inside = (at < w.m) & (w.l <= at);
      const auto last = w.l == at;
      const X b = select(inside, e[i], one), r = p + b, before = c;
      const auto flat = p <= tiny;
      const X inverse = one / r, secant = r / select(flat, one, p);  // of the angle, squared
      const X next = (p * (d[i] - sigma) - b * gamma) * inverse;
      e[i + 1] = select(inside, s * r, e[i + 1]);  // zero at the window's end, where s is
      d[i + 1] = select(inside, gamma + (d[i] - next), d[i + 1]);
      gamma = select(inside, next, gamma);
      c = select(inside, p * inverse, c);
      s = select(inside, b * inverse, s);
      p = select(inside, select(flat, before * b, next * next * secant), p);
      const auto ends = inside & last;
      e[i] = select(ends, s * p, e[i]);
      d[i] = select(ends, sigma + gamma, d[i]);
    }
  }
  return w.l < L::every(n - 1);
}

// The rotations of one sweep, applied to the rows r .. r + G - 1 of Z from column n - 1 down.
template <int G, class X, class N>
inline void lane_rotate(X* z, N n, int r, int first, const X* c, const X* s) {
  X carry[G];
  for (int g = 0; g < G; ++g) carry[g] = z[(r + g) * n + n - 1];
  for (int i = n - 2; i >= first; --i)
    for (int g = 0; g < G; ++g) {
      const X left = z[(r + g) * n + i];
      z[(r + g) * n + i + 1] = s[i] * left + c[i] * carry[g];
      carry[g] = c[i] * left - s[i] * carry[g];
    }
  for (int g = 0; g < G; ++g) z[(r + g) * n + first] = carry[g];
}

template <class X, class N>
inline void lane_rotate_all(X* z, N n, int first, const X* c, const X* s) {
  int r = 0;
  for (; r + 4 <= n; r += 4) lane_rotate<4>(z, n, r, first, c, s);
  for (; r < n; ++r) lane_rotate<1>(z, n, r, first, c, s);
}

// One matrix alone has no lanes: there rows of Z share a vector. Z is then stored by columns, `ld` entries each.
template <class T>
inline void rotate_columns(T* z, std::int64_t ld, int n, int first, const T* c, const T* s) {
  for (std::int64_t r = 0; r < ld; r += lanes<T>) {
    Vec<T> carry = load(z + (n - 1) * ld + r);
    for (int i = n - 2; i >= first; --i) {
      const Vec<T> left = load(z + i * ld + r);
      store(z + (i + 1) * ld + r, s[i] * left + c[i] * carry);
      carry = c[i] * left - s[i] * carry;
    }
    store(z + first * ld + r, carry);
  }
}

// The implicit sweep with square roots (Golub and Van Loan, section 8.3.3, from the bottom). rotate(first, cosines, sines)
// applies the rotations of a sweep, in falling order of columns, to what becomes the vectors. Returns the lanes that did not
// converge.
template <class T, class X, class N, class F>
inline Mask<T, X> lane_vectors(X* d, X* e, N n, F&& rotate) {
  using L = Lane<T, X>;
  const X one = L::all(1), two = L::all(2), tiny = L::all(square_floor<T>);
  X cosines[lane_order], sines[lane_order];
  Window<T, X> w{};
  for (int sweeps = sweep_limit(n); next_window(d, e, n, false, w); --sweeps) {
    if (sweeps == 0) break;
    X g = w.dm - w.dl + wilkinson<T>(w.dl, w.dnext, w.el * w.el), s = one, c = one, p = {};
    for (int i = n - 2; i >= w.first; --i) {
      const auto at = L::every(i);
      const auto inside = (at < w.m) & (w.l <= at);
      const auto last = w.l == at;
      const X f = s * e[i], b = c * e[i], square = f * f + g * g;
      const auto flat = square <= tiny;  // nothing to rotate: what is left is zero beside the matrix
      const X r = root<T>(select(flat, one, square)), inverse = one / r;
      const X sine = select(flat, X{}, f * inverse), cosine = select(flat, one, g * inverse);
      const X shifted = d[i + 1] - p, t = (d[i] - shifted) * sine + two * cosine * b, part = sine * t;
      const auto joined = inside & (at + L::every(1) < w.m);
      e[i + 1] = select(joined, select(flat, X{}, r), e[i + 1]);
      d[i + 1] = select(inside, shifted + part, d[i + 1]);
      cosines[i] = select(inside, cosine, one);
      sines[i] = select(inside, sine, X{});
      g = select(inside, cosine * t - b, g);
      p = select(inside, part, p);
      s = select(inside, sine, s);
      c = select(inside, cosine, c);
      const auto ends = inside & last;
      e[i] = select(ends, g, e[i]);
      d[i] = select(ends, d[i] - p, d[i]);
    }
    rotate(w.first, cosines, sines);
  }
  return w.l < L::every(n - 1);
}

}  // namespace fastopt::linalg
