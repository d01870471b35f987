#include "matrix/preconditioner.hpp"

#include <cmath>
#include <utility>

#include "engine/lanes.hpp"
#include "matrix/triangular.hpp"

namespace fastopt::matrix {
namespace {

// The largest product of the factors' largest elements: P takes gradients of 1e-38 (1e-151) to 1, and what it is multiplied
// with stays finite. Where gradients are 0 for long, factors would grow without end.
template <class T>
constexpr int largest_exponent = sizeof(T) == 4 ? 62 : 250;

}  // namespace

template <class T>
void Preconditioner<T>::start(double scale) const {
  const T of_each = static_cast<T>(std::pow(scale, 1 / double(factors.count)));
  for (const Factors::Factor& factor : factors) {
    const std::int64_t apart = factor.diagonal ? 1 : factor.side.length + 1;
    for (std::int64_t i = 0; i < factor.side.length; ++i) q[factor.side.square + i * apart] = of_each;
  }
  keep_in_range();
}

template <class T>
T Preconditioner<T>::largest_of(const Factors::Factor& factor) const {
  return engine::largest(q + factor.side.square, factor.size());
}

template <class T>
void Preconditioner<T>::scale_factor(const Factors::Factor& factor, double by) const {
  for (std::int64_t i = factor.side.square; i < factor.side.square + factor.size(); ++i)
    q[i] = static_cast<T>(double(q[i]) * by);
}

// Logarithm of the product of the factors' largest elements.
template <class T>
double Preconditioner<T>::amplitude() const {
  double sum = 0;
  for (const Factors::Factor& factor : factors) sum += std::log2(double(largest_of(factor)));
  return sum;
}

template <class T>
void Preconditioner<T>::keep_in_range() const {
  const double beyond = amplitude() - largest_exponent<T>;
  if (!(beyond > 0) || !std::isfinite(beyond)) return;
  for (const Factors::Factor& factor : factors) scale_factor(factor, std::exp2(-beyond / factors.count));
}

template <class T>
void Preconditioner<T>::balance() const {
  const double mean = amplitude() / factors.count;
  if (!std::isfinite(mean)) return;
  for (const Factors::Factor& factor : factors) scale_factor(factor, std::exp2(mean) / double(largest_of(factor)));
}

template <class T>
void Preconditioner<T>::multiply(T*& from, T*& to, bool transposed) const {
  for (const Factors::Factor& factor : factors) {
    const T* const of_side = q + factor.side.square;
    if (factor.diagonal) {
      multiply_diagonal(from, factor.side, of_side, false, team);
    } else {
      multiply_upper(from, factor.side, of_side, transposed, to, team);
      std::swap(from, to);
    }
  }
}

template <class T>
void Preconditioner<T>::solve(T* x) const {
  for (const Factors::Factor& factor : factors) {
    const T* const of_side = q + factor.side.square;
    if (factor.diagonal)
      multiply_diagonal(x, factor.side, of_side, true, team);
    else
      solve_upper(x, factor.side, of_side, team);
  }
}

template <class T>
void Preconditioner<T>::learn(const T* a, const T* b, double rate, const WhiteningWork<T>& work) const {
  for (const Factors::Factor& factor : factors) whiten(factor, a, b, rate, q + factor.side.square, work, team);
  keep_in_range();
}

template struct Preconditioner<float>;
template struct Preconditioner<double>;

}  // namespace fastopt::matrix
