#include "matrix/polar.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <stdexcept>

#include "linalg/eigh.hpp"
#include "matrix/newton_schulz.hpp"

namespace fastopt::matrix {
namespace {

// G (n x n, columns ld apart) <- G^(-1/2) on the eigenvectors whose eigenvalues are not 0. Returns the condition of X among
// those, 0 if there was no memory for eigenvectors, or no convergence; G is as it was then.
double inverse_root(double* g, const Sides<double>& sides, double* w, double* v, const linalg::Team<double>& team) noexcept {
  const std::int64_t n = sides.small, ld = sides.square();
  try {
    linalg::eigh(linalg::Source<double>{g, 1, ld, true}, n, w, v, nullptr);
  } catch (const std::bad_alloc&) {
    return 0;
  } catch (const std::runtime_error&) {
    return 0;
  } catch (const std::domain_error&) {
    return 0;
  }
  const double most = w[n - 1], least = most * no_singular_value * no_singular_value;
  const std::int64_t first = std::upper_bound(w, w + n, least) - w;
  for (std::int64_t j = first; j < n; ++j) {
    const double by = 1 / std::sqrt(std::sqrt(w[j]));  // once from either side
    for (std::int64_t i = 0; i < n; ++i) v[j * n + i] *= by;
  }
  const View<double> b{v + first * n, 1, n};
  multiply_symmetric(team, n, n - first, 1.0, b, transposed(b), g, ld);
  return std::sqrt(most / w[first]);
}

// The same without memory of its own: so many steps of degree five reach every singular value that counts.
void iterate(double* x, const Sides<double>& sides, const linalg::Team<double>& team, Scratch scratch) noexcept {
  const auto constants = [](const void*, std::int64_t k) { return polar_express(k); };
  Iteration<double>{sides.rows, sides.columns, 26, constants, nullptr}.run(x, team, scratch);
}

// X <- (3 X - X X' X) / 2, which squares the error of orthogonality and takes 3/4 of that.
template <class T>
void refine(T* x, T* other, T* p, const Sides<T>& sides, const linalg::Team<T>& team) {
  const std::int64_t n = sides.small, ld = sides.square();
  sides.gram(team, x, p);
  for (std::int64_t j = 0; j < n; ++j) {
    for (std::int64_t i = 0; i < n; ++i) p[j * ld + i] *= T(-0.5);
    p[j * ld + j] += T(1.5);
  }
  sides.apply(team, p, x, other);
  std::copy_n(other, sides.rows * sides.columns, x);
}

template <class From, class To>
void convert(const From* from, std::int64_t n, To* to) {
  for (std::int64_t i = 0; i < n; ++i) to[i] = static_cast<To>(from[i]);
}

}  // namespace

// Gram's matrix, the root and its product in double, eigenvectors by 9 n^3, a product and a step of refinement.
template <class T>
double Polar<T>::flops() const {
  const auto s = static_cast<double>(std::min(rows, columns)), l = static_cast<double>(std::max(rows, columns));
  return s * s * (7 * l + 20 * s);
}

template <class T>
std::size_t Polar<T>::scratch() const {
  const Sides<double> sides(rows, columns);
  const std::int64_t size = rows * columns, square = sides.small * sides.square();
  const std::size_t direct = 2 * Scratch::bytes<double>(square) + Scratch::bytes<double>(sides.small) +
                             Scratch::bytes<T>(square) + Scratch::bytes<T>(size);
  const Iteration<double> otherwise{rows, columns, 26, nullptr, nullptr};
  return Scratch::bytes<double>(size) + direct + otherwise.scratch();
}

template <class T>
void Polar<T>::run(T* x, const Members& members, Scratch scratch) const noexcept {
  const Sides<double> sides(rows, columns);
  const Sides<T> narrow(rows, columns);
  const std::int64_t size = rows * columns, square = sides.small * sides.square();
  const linalg::Team<double>& wide = members.f64;
  double* const xd = scratch.take<double>(size);
  double* const g = scratch.take<double>(square);
  double* const v = scratch.take<double>(square);
  double* const w = scratch.take<double>(sides.small);
  T* const p = scratch.take<T>(square);
  T* const other = scratch.take<T>(size);
  convert(x, size, xd);
  sides.gram(wide, xd, g);
  const double condition = inverse_root(g, sides, w, v, wide);
  if (condition == 0) {
    iterate(xd, sides, wide, scratch);
    convert(xd, size, x);
    return;
  }
  convert(g, square, p);
  narrow.apply(members.team<T>(), p, x, other);
  std::copy_n(other, size, x);
  constexpr double unit = std::numeric_limits<T>::epsilon();
  double error = unit * condition + 1e-15 * condition * condition;
  do {
    refine(x, other, p, narrow, members.team<T>());
    error *= 0.75 * error;
  } while (error > unit);
}

template struct Polar<float>;
template struct Polar<double>;

}  // namespace fastopt::matrix
