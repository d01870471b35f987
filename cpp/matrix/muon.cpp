#include "matrix/muon.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/lanes.hpp"
#include "matrix/newton_schulz.hpp"
#include "matrix/polar.hpp"
#include "matrix/range.hpp"

namespace fastopt::matrix {
namespace {

// As rules::Muon::Hypers has them.
struct Numbers {
  double lr, momentum, nesterov, eps, ns_steps, a, b, c, polar_express, exact, adjust, beta2;
};

const Numbers& numbers_of(const MatrixTask& task) { return *reinterpret_cast<const Numbers*>(task.hypers); }

Quintic constants(const void* context, std::int64_t k) {
  const auto& n = *static_cast<const Numbers*>(context);
  return n.polar_express != 0 ? polar_express(k) : Quintic{n.a, n.b, n.c};
}

template <class T>
Iteration<T> iteration(const MatrixTask& task) {
  const Numbers& n = numbers_of(task);
  return {task.view->rows, task.view->columns, static_cast<std::int64_t>(n.ns_steps), constants, &n};
}

template <class T>
Polar<T> polar(const MatrixTask& task) {
  return {task.view->rows, task.view->columns};
}

template <class T>
double sum_of_squares(const T* x, std::int64_t n) {
  double sum = 0;
  for (std::int64_t at = 0; at < n; at += engine::sum_block) {
    engine::Lanes lanes;
    lanes.add_squares(x + at, std::min(engine::sum_block, n - at));
    sum += lanes.total();
  }
  return sum;
}

template <class T>
void divide(T* x, std::int64_t n, T by) {
  for (std::int64_t i = 0; i < n; ++i) x[i] /= by;
}

template <class T>
void multiply_by(T* x, std::int64_t n, T by) {
  for (std::int64_t i = 0; i < n; ++i) x[i] *= by;
}

// X / max(|X|, eps) in Frobenius' norm, by way of a power of two, so that no square overflows or vanishes. False where
// there is nothing to orthogonalise: a matrix of zeros stays one, and one that is not finite becomes NaN as a whole.
template <class T>
bool normalised(T* x, std::int64_t n, double eps) {
  const T most = engine::largest(x, n);
  if (!std::isfinite(most)) std::fill_n(x, n, std::numeric_limits<T>::quiet_NaN());
  if (!std::isfinite(most) || most == T(0)) return false;
  const T unit = scale_of(most);
  multiply_by(x, n, unit);
  const double least = eps * static_cast<double>(unit);
  divide(x, n,
         static_cast<T>(std::clamp(std::sqrt(sum_of_squares(x, n)), least,
                                   std::max(least, static_cast<double>(std::numeric_limits<T>::max())))));
  return true;
}

// Every row is divided by the root of an average over the steps of its mean square, and the whole scaled to its norm.
template <class T>
void equalise_rows(T* x, T* seconds, const MatrixView& view, double beta2) {
  constexpr double tiny = 1e-10;
  const std::int64_t n = view.columns;
  double before = 0, after = 0;
  for (std::int64_t i = 0; i < view.rows; ++i) {
    const double squares = sum_of_squares(x + i * n, n);
    const T mean = static_cast<T>(squares / static_cast<double>(n));
    seconds[i] += static_cast<T>(1 - beta2) * (mean - seconds[i]);
    const T by = T(1) / (std::sqrt(seconds[i]) + static_cast<T>(tiny));
    multiply_by(x + i * n, n, by);
    before += squares;
    after += squares * static_cast<double>(by) * static_cast<double>(by);
  }
  multiply_by(x, view.rows * n, static_cast<T>(std::sqrt(before) / (std::sqrt(after) + tiny)));
}

// "original": sqrt(max(1, rows / columns)); "match_rms_adamw": 0.2 sqrt(max(rows, columns)).
double adjustment(const MatrixView& view, double adjust) {
  const auto rows = static_cast<double>(view.rows), columns = static_cast<double>(view.columns);
  return adjust != 0 ? 0.2 * std::sqrt(std::max(rows, columns)) : std::sqrt(std::max(1.0, rows / columns));
}

}  // namespace

template <bool normalize>
double Muon<normalize>::flops(const MatrixTask& task) {
  if (numbers_of(task).exact != 0) return polar<float>(task).flops();
  return task.wide ? 2 * iteration<double>(task).flops() : iteration<float>(task).flops();
}

template <bool normalize>
std::size_t Muon<normalize>::scratch(const MatrixTask& task) {
  if (numbers_of(task).exact != 0) return task.wide ? polar<double>(task).scratch() : polar<float>(task).scratch();
  return task.wide ? iteration<double>(task).scratch() : iteration<float>(task).scratch();
}

template <bool normalize>
bool Muon<normalize>::wide(const MatrixTask& task) {
  return numbers_of(task).exact != 0;
}

template <bool normalize>
template <class T>
void Muon<normalize>::run(const MatrixTask& task, std::int64_t index, const Members& members, Scratch scratch) noexcept {
  const MatrixView& view = *task.view;
  const Numbers& numbers = numbers_of(task);
  const std::int64_t size = view.rows * view.columns;
  T* const x = static_cast<T*>(task.x) + index * size;
  const bool exact = numbers.exact != 0;
  if (normalised(x, size, exact ? 0 : numbers.eps))
    exact ? polar<T>(task).run(x, members, scratch) : iteration<T>(task).run(x, members.team<T>(), scratch);
  if constexpr (normalize) equalise_rows(x, static_cast<T*>(task.shaped[0]) + index * view.rows, view, numbers.beta2);
  const double by = adjustment(view, numbers.adjust);
  if (by != 1) multiply_by(x, size, static_cast<T>(by));
}

template struct Muon<false>;
template struct Muon<true>;
template void Muon<false>::run<float>(const MatrixTask&, std::int64_t, const Members&, Scratch) noexcept;
template void Muon<false>::run<double>(const MatrixTask&, std::int64_t, const Members&, Scratch) noexcept;
template void Muon<true>::run<float>(const MatrixTask&, std::int64_t, const Members&, Scratch) noexcept;
template void Muon<true>::run<double>(const MatrixTask&, std::int64_t, const Members&, Scratch) noexcept;

}  // namespace fastopt::matrix
