#include "matrix/newton_schulz.hpp"

#include <algorithm>
#include <utility>

namespace fastopt::matrix {

// Singular values from 1e-3 on, with a margin of 2 % for rounding; later steps repeat the last.
Quintic polar_express(std::int64_t k) {
  constexpr Quintic table[] = {
      {8.156554524902461, -22.48329292557795, 15.878769915207462},
      {4.0429299351667245, -2.808917465908704, 0.5000178451051299},
      {3.8916678022926563, -2.7724841532176825, 0.5060648178503389},
      {3.285753657755658, -2.3681294933425394, 0.46449024233003117},
      {2.3005307116270983, -1.6111665557258408, 0.3833374427545273},
      {1.8631210546382593, -1.2042160621002727, 0.3421879560523383},
      {1.8382572152247512, -1.1779263289537742, 0.3396513038637379},
      {1.8749999923301852, -1.2499999836060613, 0.374999991275876},
  };
  return table[std::min<std::int64_t>(k, std::size(table) - 1)];
}

namespace {

// Steps that Gram's side takes in a row: it squares singular values, and what is lost of small ones grows with every step.
// With three, errors in float32 stay below 1e-4 of the largest element for condition 1e4 and a few 1e-6 for random matrices,
// as those of steps on X (with five 4e-3).
constexpr std::int64_t most_on_gram = 3;

// Multiplications and additions, symmetric products at half, for sides s <= l. Steps on X: G, G^2, P X. Steps on Gram's
// side: G once, then G^2, P Q, P G, P G P, without the two that the first and the last do not need, and Q X once.
double flops_on_matrix(double s, double l, double steps) { return steps * s * s * (3 * l + s); }
double flops_on_gram(double s, double l, std::int64_t steps) {
  double sum = 0;
  for (; steps > 0; steps -= most_on_gram)
    sum += s * s * (3 * l + static_cast<double>(4 * std::min(steps, most_on_gram) - 3) * s);
  return sum;
}

bool prefers_gram(std::int64_t small, std::int64_t large, std::int64_t steps) {
  const auto s = static_cast<double>(small), l = static_cast<double>(large);
  return small >= 32 && flops_on_gram(s, l, steps) < 0.85 * flops_on_matrix(s, l, static_cast<double>(steps));
}

}  // namespace

template <class T>
double Iteration<T>::flops() const {
  const std::int64_t small = std::min(rows, columns), large = std::max(rows, columns);
  const auto s = static_cast<double>(small), l = static_cast<double>(large);
  return prefers_gram(small, large, steps) ? flops_on_gram(s, l, steps) : flops_on_matrix(s, l, static_cast<double>(steps));
}

template <class T>
std::size_t Iteration<T>::scratch() const {
  const Sides<T> sides(rows, columns);
  const std::size_t squares = prefers_gram(sides.small, sides.large, steps) ? 5 : 2;
  return Scratch::bytes<T>(rows * columns) + squares * Scratch::bytes<T>(sides.small * sides.square());
}

namespace {

// As written above: one step after the other on X. The result is in `x`.
template <class T, class Constants>
void on_matrix(const Sides<T>& sides, std::int64_t steps, Constants&& constants, T* x, const Team<T>& team,
               Scratch& scratch) {
  const std::int64_t size = sides.rows * sides.columns, square = sides.small * sides.square();
  T* other = scratch.take<T>(size);
  T* const g = scratch.take<T>(square);
  T* const p = scratch.take<T>(square);
  T* const home = x;
  for (std::int64_t k = 0; k < steps; ++k) {
    sides.gram(team, x, g);
    sides.polynomial(team, constants(k), g, p);
    sides.apply(team, p, x, other);
    std::swap(x, other);
  }
  if (x != home) std::copy_n(x, size, home);
}

// All P are polynomials in the first G and commute: X is multiplied by their product Q once, at the end, and G <- P G P
// takes the place of forming it from X.
template <class T>
struct OnGram {
  const Sides<T>& sides;
  const Team<T>& team;
  T *g, *p, *q, *r, *next;

  OnGram(const Sides<T>& s, const Team<T>& t, Scratch& scratch) : sides(s), team(t) {
    for (T** square : {&g, &p, &q, &r, &next}) *square = scratch.take<T>(s.small * s.square());
  }
  // to = Q X after steps [begin, end)
  template <class Constants>
  void steps(std::int64_t begin, std::int64_t end, Constants&& constants, const T* x, T* to) {
    sides.gram(team, x, g);
    for (std::int64_t k = begin; k < end; ++k) {
      sides.polynomial(team, constants(k), g, p);
      if (k == begin) {
        std::copy_n(p, sides.small * sides.square(), q);
      } else {
        sides.commuting(team, T(1), p, q, next);
        std::swap(q, next);
      }
      if (k + 1 == end) break;
      sides.commuting(team, T(1), p, g, r);
      sides.commuting(team, T(1), r, p, next);
      std::swap(g, next);
    }
    sides.apply(team, q, x, to);
  }
};

template <class T, class Constants>
void on_gram(const Sides<T>& sides, std::int64_t steps, Constants&& constants, T* x, const Team<T>& team, Scratch& scratch) {
  const std::int64_t size = sides.rows * sides.columns;
  T* const home = x;
  T* other = scratch.take<T>(size);
  OnGram<T> gram(sides, team, scratch);
  for (std::int64_t k = 0; k < steps; k += most_on_gram) {
    gram.steps(k, std::min(k + most_on_gram, steps), constants, x, other);
    std::swap(x, other);
  }
  if (x != home) std::copy_n(x, size, home);
}

}  // namespace

template <class T>
void Iteration<T>::run(T* x, const linalg::Team<T>& team, Scratch scratch) const noexcept {
  const Sides<T> sides(rows, columns);
  const auto of = [&](std::int64_t k) { return constants(context, k); };
  if (prefers_gram(sides.small, sides.large, steps))
    on_gram(sides, steps, of, x, team, scratch);
  else
    on_matrix(sides, steps, of, x, team, scratch);
}

template struct Iteration<float>;
template struct Iteration<double>;

}  // namespace fastopt::matrix
