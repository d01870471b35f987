// The rotation that makes a symmetric 2 x 2 matrix diagonal, and what it does to two columns.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>

#include "linalg/simd.hpp"

namespace fastopt::linalg {

template <class T>
struct Rotation {
  T c, s, t;  // cosine, sine, tangent; |t| <= 1

  // Of [pp pq; pq qq]. (qq - pp) / pq may overflow: its square is left out where it does not count any more.
  Rotation(T pp, T pq, T qq) {
    const T zeta = (qq / 2 - pp / 2) / pq, size = std::abs(zeta);
    const T large = T(1) / std::numeric_limits<T>::epsilon();
    t = std::copysign(size > large ? T(0.5) / size : 1 / (size + std::sqrt(1 + size * size)), zeta);
    c = 1 / std::sqrt(1 + t * t);
    s = t * c;
  }

  // (x, y) <- (c x - s y, s x + c y)
  void apply(T* x, T* y, std::int64_t n) const {
    std::int64_t i = 0;
    for (; i + lanes<T> <= n; i += lanes<T>) {
      const Vec<T> a = load(x + i), b = load(y + i);
      store(x + i, c * a - s * b);
      store(y + i, s * a + c * b);
    }
    for (; i < n; ++i) {
      const T a = x[i], b = y[i];
      x[i] = c * a - s * b;
      y[i] = s * a + c * b;
    }
  }
};

template <class T>
struct Products {
  T xx, xy, yy;
  Products(const T* x, const T* y, std::int64_t n) : xx(0), xy(0), yy(0) {
    Vec<T> a = {}, b = {}, c = {};
    std::int64_t i = 0;
    for (; i + lanes<T> <= n; i += lanes<T>) {
      const Vec<T> u = load(x + i), v = load(y + i);
      a += u * u;
      b += u * v;
      c += v * v;
    }
    for (; i < n; ++i) xx += x[i] * x[i], xy += x[i] * y[i], yy += y[i] * y[i];
    xx += sum<T>(a), xy += sum<T>(b), yy += sum<T>(c);
  }
};

}  // namespace fastopt::linalg
