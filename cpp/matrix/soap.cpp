#include "matrix/soap.hpp"

#include <algorithm>
#include <cmath>

#include "matrix/eigenbasis.hpp"
#include "matrix/elements.hpp"
#include "matrix/range.hpp"
#include "matrix/tensor_sides.hpp"

namespace fastopt::matrix {
namespace {

// As rules::Soap::Hypers has them.
struct Numbers {
  double lr, beta1, beta2, shampoo_beta, eps, weight_decay, precondition_frequency, max_precond_dim, merge_dims,
      precondition_1d, normalize_grads, correct_bias;
};

const Numbers& numbers_of(const double* hypers) { return *reinterpret_cast<const Numbers*>(hypers); }

// The lengths of the sides: the axes', or of neighbours whose product is within the limit one for all.
int lengths_of(const MatrixView& view, const Numbers& n, std::int64_t* lengths) {
  int count = 0;
  if (n.merge_dims == 0 || view.sides.size() < 2) {
    for (const std::int64_t length : view.sides) lengths[count++] = length;
    return count;
  }
  std::int64_t now = 1;
  for (const std::int64_t length : view.sides) {
    if (static_cast<double>(now) * static_cast<double>(length) <= n.max_precond_dim) {
      now *= length;
    } else {
      lengths[count++] = now > 1 ? now : length;
      now = now > 1 ? length : 1;
    }
  }
  if (now > 1 || count == 0) lengths[count++] = now;
  return count;
}

TensorSides sides_of(const MatrixView& view, const double* hypers) {
  const Numbers& n = numbers_of(hypers);
  TensorSides sides;
  for (const std::int64_t length : view.sides) sides.size *= length;
  if (sides.size == 0) return sides;
  std::int64_t lengths[TensorSides::most], before = 1, after = sides.size;
  const int count = lengths_of(view, n, lengths);
  for (int i = 0; i < count; ++i) {
    after /= lengths[i];
    const bool kept = view.sides.size() > 1 || n.precondition_1d != 0;
    if (kept && static_cast<double>(lengths[i]) <= n.max_precond_dim) sides.add({before, lengths[i], after, 0, lengths[i]});
    before *= lengths[i];
  }
  return sides;
}

bool is_first(const MatrixTask& task) { return task.t == 1; }
bool refreshes(const MatrixTask& task) {
  return task.t > 1 && (task.t - 1) % static_cast<std::int64_t>(numbers_of(task.hypers).precondition_frequency) == 0;
}

template <class T>
class Step {
 public:
  Step(const MatrixTask& task, const TensorSides& sides, const Team<T>& team, Scratch scratch)
      : task_(task),
        n_(numbers_of(task.hypers)),
        sides_(sides),
        team_(team),
        x_(static_cast<T*>(task.x)),
        exp_avg_(state(0)),
        exp_avg_sq_(state(1)),
        gg_(state(2)),
        q_(state(3)),
        other_(scratch.take<T>(sides.size)),
        sums_(scratch.take<double>(blocks_of(sides.size))),
        order_(scratch.take<std::int64_t>(sides.longest)),
        squares_(scratch.take<T>(0)) {}

  static std::size_t scratch(const MatrixTask& task, const TensorSides& sides) {
    const bool new_bases = is_first(task) || refreshes(task);
    return Scratch::bytes<T>(sides.size) + Scratch::bytes<double>(blocks_of(sides.size)) +
           Scratch::bytes<std::int64_t>(sides.longest) + Scratch::bytes<T>(new_bases ? eigenbasis_work(sides.longest) : 0);
  }

  void run() {
    bring_into_range(team_, sides_.size, n_.eps == 0, sides_.size, x_, sums_);
    average_statistics();
    if (is_first(task_)) {
      for (const Side& side : sides_)
        first_eigenbasis(gg_ + side.square, side.length, q_ + side.square, order_, squares_, team_);
      std::fill_n(x_, sides_.size, T(0));
      return;
    }
    rotate_all(x_, false);
    adam();
    rotate_all(x_, true);
    if (n_.normalize_grads != 0) normalize();
    if (refreshes(task_)) refresh();
  }

 private:
  T* state(int i) const { return static_cast<T*>(task_.shaped[i]); }

  void average_statistics() {
    const T rest = static_cast<T>(1 - (n_.shampoo_beta < 0 ? n_.beta2 : n_.shampoo_beta));
    for (const Side& side : sides_) add_gram(x_, side, rest, rest, gg_ + side.square, team_);
  }

  void rotate_all(T* x, bool back) {
    T *from = x, *to = other_;
    for (const Side& side : sides_) {
      rotate(from, side, q_ + side.square, back, to, team_);
      std::swap(from, to);
    }
    if (from != x) matrix::copy(team_, from, sides_.size, x);
  }

  // x <- m / (sqrt(v) + eps); what is missing in both at the start is the rate's (rules/soap.hpp).
  void adam() {
    const auto beta1 = average_in<T>(n_.beta1), beta2 = average_in<T>(n_.beta2);
    const T eps = static_cast<T>(n_.eps), flush = static_cast<T>(rules::may_flush(n_.eps, false));
    for_blocks(team_, sides_.size, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
      T *const m = exp_avg_, *const v = exp_avg_sq_;
      for (std::int64_t i = begin; i < end; ++i) {
        m[i] = rules::flushed(rules::ema(m[i], x_[i], beta1));
        v[i] = rules::flushed_square(rules::ema_squares(v[i], x_[i] * x_[i], beta2), flush);
        x_[i] = m[i] / (std::sqrt(v[i]) + eps);
      }
    });
  }

  // To a mean square of 1.
  void normalize() {
    const double sum = sum_of_squares(team_, x_, sides_.size, sums_);
    matrix::scale(team_, static_cast<T>(1 / (1e-30 + std::sqrt(sum / double(sides_.size)))), sides_.size, x_);
  }

  // m goes from the old bases to the new ones; v, which no rotation takes along, keeps to its columns.
  void refresh() {
    rotate_all(exp_avg_, true);
    for (const Side& side : sides_) {
      refresh_eigenbasis(gg_ + side.square, side.length, q_ + side.square, order_, squares_, team_);
      reorder(side);
    }
    rotate_all(exp_avg_, false);
  }

  void reorder(const Side& side) {
    const std::int64_t n = side.length, after = side.after;
    for (std::int64_t b = 0; b < side.before; ++b)
      for (std::int64_t j = 0; j < n; ++j)
        std::copy_n(exp_avg_sq_ + (b * n + order_[j]) * after, after, other_ + (b * n + j) * after);
    matrix::copy(team_, other_, sides_.size, exp_avg_sq_);
  }

  const MatrixTask& task_;
  const Numbers& n_;
  const TensorSides& sides_;
  const Team<T>& team_;
  T *const x_, *const exp_avg_, *const exp_avg_sq_, *const gg_, *const q_, *const other_;
  double* const sums_;
  std::int64_t* const order_;
  T* const squares_;
};

}  // namespace

std::int64_t Soap::state_size(std::size_t state, const MatrixView& view, const double* hypers) {
  const TensorSides sides = sides_of(view, hypers);
  if (state < 2) return sides.size;
  return sides.squares > 0 ? sides.squares : -1;
}

// Into the bases and out of them, and Gram's matrix at half the price; new bases by QR are some 4 n^3, by eigh some 10.
double Soap::flops(const MatrixTask& task) {
  const TensorSides sides = sides_of(*task.view, task.hypers);
  double flops = 20 * double(sides.size);
  for (const Side& side : sides) {
    const double n = double(side.length);
    flops += 5 * double(sides.size) * n + (is_first(task) ? 10 : refreshes(task) ? 6 : 0) * n * n * n;
  }
  return task.wide ? 2 * flops : flops;
}

std::size_t Soap::scratch(const MatrixTask& task) {
  const TensorSides sides = sides_of(*task.view, task.hypers);
  return task.wide ? Step<double>::scratch(task, sides) : Step<float>::scratch(task, sides);
}

template <class T>
void Soap::run(const MatrixTask& task, std::int64_t, const Members& members, Scratch scratch) noexcept {
  const TensorSides sides = sides_of(*task.view, task.hypers);
  Step<T>(task, sides, members.team<T>(), scratch).run();
}

template void Soap::run<float>(const MatrixTask&, std::int64_t, const Members&, Scratch) noexcept;
template void Soap::run<double>(const MatrixTask&, std::int64_t, const Members&, Scratch) noexcept;

}  // namespace fastopt::matrix
