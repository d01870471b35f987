// A matrix X (row-major) as its smaller side sees it, and what iterations on it are made of.
#pragma once
#include <algorithm>
#include <cstdint>

#include "matrix/products.hpp"

namespace fastopt::matrix {

struct Quintic {
  double a, b, c;
};

// X as the small side sees it: Y is small x large, X or its transpose.
template <class T>
struct Sides {
  std::int64_t rows, columns, small, large;
  bool tall;
  Sides(std::int64_t m, std::int64_t n) : rows(m), columns(n), small(std::min(m, n)), large(std::max(m, n)), tall(m > n) {}
  // Squares of the small side; a power of two between their columns would put these into one set of the cache.
  std::int64_t square() const { return linalg::round_up(small, 16) + 16; }
  View<T> y(const T* x) const { return tall ? View<T>{x, 1, columns} : View<T>{x, columns, 1}; }

  void gram(const Team<T>& team, const T* x, T* g) const {
    multiply_symmetric(team, small, large, T(1), y(x), transposed(y(x)), g, square());
  }
  // to = P X or, if X is tall, X P; P is symmetric.
  void apply(const Team<T>& team, const T* p, const T* x, T* to) const {
    const View<T> transpose{x, 1, columns}, square_view{p, 1, square()};
    if (tall)
      multiply(team, small, large, small, T(1), square_view, transpose, to, columns);
    else
      multiply(team, large, small, small, T(1), transpose, square_view, to, columns);
  }
  // c = A B of symmetric matrices that commute.
  void commuting(const Team<T>& team, T alpha, const T* a, const T* b, T* c) const {
    multiply_symmetric(team, small, small, alpha, View<T>{a, 1, square()}, View<T>{b, 1, square()}, c, square());
  }
  // p = a I + b G + c G^2
  void polynomial(const Team<T>& team, const Quintic& q, const T* g, T* p) const {
    commuting(team, static_cast<T>(q.c), g, g, p);
    const T a = static_cast<T>(q.a), b = static_cast<T>(q.b);
    const std::int64_t ld = square();
    team.split(small, 16, static_cast<double>(small) * static_cast<double>(small),
               [&](std::int64_t begin, std::int64_t end, linalg::Packs<T>&) {
                 for (std::int64_t j = begin; j < end; ++j) {
                   for (std::int64_t i = 0; i < small; ++i) p[j * ld + i] += b * g[j * ld + i];
                   p[j * ld + j] += a;
                 }
               });
  }
};

}  // namespace fastopt::matrix
