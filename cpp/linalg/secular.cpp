#include "linalg/secular.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linalg/simd.hpp"

namespace fastopt::linalg {
namespace {

// psi: the poles up to i, all to the left of the root; phi: those to the right. With derivatives.
template <class T>
struct Sums {
  T psi, dpsi, phi, dphi;
  T f() const { return T(1) + psi + phi; }
};

template <class T>
Sums<T> evaluate(const Secular<T>& s, std::int64_t i, T origin, T tau) {
  constexpr int L = lanes<T>;
  const Vec<T> o = splat(origin), t = splat(tau), one = splat(T(1));
  Vec<T> psi = {}, dpsi = {}, phi = {}, dphi = {};
  const std::int64_t boundary = (i + 1) / L * L;
  for (std::int64_t j = 0; j < boundary; j += L) {
    const Vec<T> r = one / ((load(s.d + j) - o) - t), q = load(s.weight + j) * r;
    psi += q;
    dpsi += q * r;
  }
  std::int64_t j = boundary;
  if (boundary < i + 1) {  // one vector has poles of both kinds
    T left[L], right[L];
    for (int l = 0; l < L; ++l) {
      left[l] = j + l <= i ? s.weight[j + l] : T(0);
      right[l] = j + l <= i ? T(0) : s.weight[j + l];
    }
    const Vec<T> r = one / ((load(s.d + j) - o) - t), q = load(left) * r, p = load(right) * r;
    psi += q;
    dpsi += q * r;
    phi += p;
    dphi += p * r;
    j += L;
  }
  for (; j < s.padded; j += L) {
    const Vec<T> r = one / ((load(s.d + j) - o) - t), q = load(s.weight + j) * r;
    phi += q;
    dphi += q * r;
  }
  return {sum<T>(psi), sum<T>(dpsi), sum<T>(phi), sum<T>(dphi)};
}

// The root of f lies in (low, high), as an offset from `origin`.
template <class T>
struct Bracket {
  T origin, low, high, tau;
};

// c eta^2 - a eta + b = 0: the root that is small when b is.
template <class T>
T small_root(T a, T b, T c) {
  const T root = std::sqrt(std::max(T(0), a * a - 4 * b * c));
  if (a > T(0)) return 2 * b / (a + root);
  return c == T(0) ? b / a : (a - root) / (2 * c);
}

// The half of the interval that holds root i, and a first guess: the two poles next to it exactly, the others as a constant.
template <class T>
Bracket<T> start(const Secular<T>& s, std::int64_t i) {
  const T left = s.d[i];
  if (i + 1 == s.count) {
    const T half = s.total / 2;
    const Sums<T> m = evaluate(s, i, left, half);
    if (m.f() <= T(0)) return {left, half, s.total, half + half / 2};
    // everything but the last pole as a constant
    const T rest = m.f() + s.weight[i] / half, guess = s.weight[i] / rest;
    return {left, T(0), half, guess > T(0) && guess < half ? guess : half / 2};
  }
  const T gap = s.d[i + 1] - left, half = gap / 2;
  const Sums<T> m = evaluate(s, i, left, half);
  const T wl = s.weight[i], wr = s.weight[i + 1];
  const T rest = m.f() + wl / half - wr / (gap - half);
  if (m.f() >= T(0)) {
    const T tau = small_root(rest * gap + wl + wr, wl * gap, rest);
    return {left, T(0), half, tau > T(0) && tau < half ? tau : half / 2};
  }
  const T tau = -small_root(wl + wr - rest * gap, wr * gap, -rest);
  return {s.d[i + 1], half - gap, T(0), tau < T(0) && tau > half - gap ? tau : (half - gap) / 2};
}

// The "middle way" step: psi and phi each replaced by a constant plus the nearest pole, matched in value and slope.
template <class T>
T step(const Secular<T>& s, std::int64_t i, const Sums<T>& m, const Bracket<T>& b) {
  const T f = m.f(), df = m.dpsi + m.dphi;
  const T dl = (s.d[i] - b.origin) - b.tau;
  T eta;
  if (i + 1 == s.count) {  // no pole on the right: psi = p + q / (dl - eta)
    const T constant = f - m.dpsi * dl;
    eta = constant > T(0) ? dl + m.dpsi * dl * dl / constant : -f / df;
  } else {
    const T dr = (s.d[i + 1] - b.origin) - b.tau;
    eta = small_root((dl + dr) * f - dl * dr * df, dl * dr * f, f - dl * m.dpsi - dr * m.dphi);
  }
  if (!(eta * f < T(0))) eta = -f / df;
  return eta;
}

}  // namespace

template <class T>
T secular_root(const Secular<T>& s, std::int64_t i, T* distance) {
  constexpr T eps = std::numeric_limits<T>::epsilon();
  Bracket<T> b = start(s, i);
  for (int iteration = 0; iteration < 100; ++iteration) {
    const Sums<T> m = evaluate(s, i, b.origin, b.tau);
    const T f = m.f();
    // the rounding error of f itself: its terms, and the slope times the error of tau
    if (std::abs(f) <= eps * (4 * (T(1) + m.phi - m.psi) + std::abs(b.tau) * (m.dpsi + m.dphi))) break;
    (f < T(0) ? b.low : b.high) = b.tau;
    T next = b.tau + step(s, i, m, b);
    if (!(next > b.low && next < b.high) || iteration % 8 == 7) next = b.low + (b.high - b.low) / 2;
    if (next == b.tau || next <= b.low || next >= b.high) break;
    b.tau = next;
  }
  const Vec<T> o = splat(b.origin), t = splat(b.tau);
  for (std::int64_t j = 0; j < s.padded; j += lanes<T>) store(distance + j, (load(s.d + j) - o) - t);
  return b.origin + b.tau;
}

template double secular_root(const Secular<double>&, std::int64_t, double*);
template float secular_root(const Secular<float>&, std::int64_t, float*);

}  // namespace fastopt::linalg
