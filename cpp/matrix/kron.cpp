#include "matrix/kron.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/tensor.hpp"
#include "matrix/elements.hpp"
#include "matrix/normal.hpp"
#include "matrix/range.hpp"
#include "matrix/triangular.hpp"
#include "matrix/whitening.hpp"

namespace fastopt::matrix {
namespace {

// Of random numbers, beside those of rounding, which are numbers of states and the one behind them.
constexpr std::uint64_t probe_role = 64, balance_role = 65;

// The largest product of the factors' largest elements: P takes gradients of 1e-38 (1e-151) to 1, and what it is multiplied
// with stays finite. Where gradients are 0 for long, factors would grow without end.
template <class T>
constexpr int largest_exponent = sizeof(T) == 4 ? 62 : 250;

bool updates(const MatrixTask& task) { return rules::Kron<0>::updates(kron_hypers(task.hypers), task.t, task.scalars[0]); }

// Numbers times 2^exponent, where what they stand for may be out of range.
template <class T>
struct Scaled {
  T* data;
  int exponent = 0;
};

template <class T>
class Step {
 public:
  Step(const MatrixTask& task, const Factors& factors, const Team<T>& team, Scratch scratch)
      : task_(task),
        h_(kron_hypers(task.hypers)),
        factors_(factors),
        size_(factors.size),
        team_(team),
        x_(static_cast<T*>(task.x)),
        momentum_(static_cast<T*>(task.shaped[0])),
        q_(static_cast<T*>(task.shaped[1])),
        sums_(scratch.take<double>(blocks_of(size_))),
        other_(scratch.take<T>(size_)),
        scratch_(scratch) {}

  static std::size_t scratch(const MatrixTask& task, const Factors& factors) {
    const std::size_t always = Scratch::bytes<double>(blocks_of(factors.size)) + Scratch::bytes<T>(factors.size);
    return updates(task) ? always + 2 * Scratch::bytes<T>(factors.size) + WhiteningWork<T>::bytes(factors) : always;
  }

  void run() {
    if (task_.t == 1 && !task_.tensor->begun) start();
    if (momentum_ != nullptr) average();
    const bool learns = updates(task_), from_average = h_.momentum_into_precond_update != 0;
    if (from_average) take_average();
    if (learns) {
      if (task_.view->sides.size() > 1 && draw(balance_role) < h_.balance_prob) balance();
      update_factors();
    }
    if (!from_average) take_average();
    precondition();
  }

 private:
  using Factor = Factors::Factor;

  void start() {
    const T scale = static_cast<T>(std::pow(h_.precond_init_scale, 1 / double(factors_.count)));
    for (const Factor& factor : factors_) {
      const std::int64_t apart = factor.diagonal ? 1 : factor.side.length + 1;
      for (std::int64_t i = 0; i < factor.side.length; ++i) q_[factor.side.square + i * apart] = scale;
    }
    keep_in_range();
  }

  void average() {
    const auto beta = average_in<T>(h_.momentum);
    for_blocks(team_, size_, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) momentum_[i] = rules::flushed(rules::ema(momentum_[i], x_[i], beta));
    });
  }
  void take_average() {
    if (momentum_ == nullptr) return;
    const T correct = static_cast<T>(1 / rules::bias_correction(h_.momentum, task_.t));
    for_blocks(team_, size_, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) x_[i] = correct * momentum_[i];
    });
  }

  // --- random numbers ---

  std::uint64_t key(std::uint64_t role) const {
    return engine::mixed(engine::mixed(task_.random, task_.tensor->number), role);
  }
  double draw(std::uint64_t role) const { return double(engine::mixed(key(role), 0) >> 11) * 0x1p-53; }
  void draw_probe(T* to) const {
    const std::uint64_t of_probe = key(probe_role);
    for_blocks(team_, size_, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        to[i] = static_cast<T>(normal_of(engine::mixed(of_probe, static_cast<std::uint64_t>(i))));
    });
  }

  // --- range ---

  T largest(const T* x) const {
    for_blocks(team_, size_, [&](std::int64_t block, std::int64_t begin, std::int64_t end) {
      sums_[block] = double(engine::largest(x + begin, end - begin));
    });
    return static_cast<T>(engine::largest(sums_, blocks_of(size_)));
  }
  // 2^exponent, 0 if that is nothing.
  void multiply_by_power(T* x, int exponent) const {
    if (exponent == 0) return;
    const double by = std::ldexp(1.0, exponent);
    for_blocks(team_, size_, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) x[i] = static_cast<T>(double(x[i]) * by);
    });
  }
  // The largest element near 1; 0, NaN and infinity stay.
  void normalise(Scaled<T>& x) const {
    const T most = largest(x.data);
    if (!std::isfinite(most) || most == T(0)) return;
    const int exponent = std::ilogb(most);
    multiply_by_power(x.data, -exponent);
    x.exponent += exponent;
  }
  T largest_of(const Factor& factor) const { return engine::largest(q_ + factor.side.square, factor.size()); }
  void scale_factor(const Factor& factor, double by) const {
    for (std::int64_t i = factor.side.square; i < factor.side.square + factor.size(); ++i)
      q_[i] = static_cast<T>(double(q_[i]) * by);
  }
  // Logarithm of the product of the factors' largest elements.
  double amplitude() const {
    double sum = 0;
    for (const Factor& factor : factors_) sum += std::log2(double(largest_of(factor)));
    return sum;
  }
  void keep_in_range() {
    const double beyond = amplitude() - largest_exponent<T>;
    if (!(beyond > 0) || !std::isfinite(beyond)) return;
    for (const Factor& factor : factors_) scale_factor(factor, std::exp2(-beyond / factors_.count));
  }
  // The same largest element for all factors, whose product stays.
  void balance() {
    const double mean = amplitude() / factors_.count;
    if (!std::isfinite(mean)) return;
    for (const Factor& factor : factors_) scale_factor(factor, std::exp2(mean) / double(largest_of(factor)));
  }

  // --- products ---

  // x <- Q x or Q' x; from and to change places, x is `from` in the end.
  void multiply(T*& from, T*& to, bool transposed) const {
    for (const Factor& factor : factors_) {
      const T* const q = q_ + factor.side.square;
      if (factor.diagonal) {
        multiply_diagonal(from, factor.side, q, false, team_);
      } else {
        multiply_upper(from, factor.side, q, transposed, to, team_);
        std::swap(from, to);
      }
    }
  }

  void update_factors() {
    Scratch scratch = scratch_;
    T *a = scratch.take<T>(size_), *const b = scratch.take<T>(size_), *spare = other_;
    const WhiteningWork<T> work(factors_, scratch);
    matrix::copy(team_, x_, size_, a);
    Scaled<T> gradient{a};
    normalise(gradient);
    multiply(gradient.data, spare, false);
    normalise(gradient);
    draw_probe(b);
    for (const Factor& factor : factors_) {
      const T* const q = q_ + factor.side.square;
      if (factor.diagonal)
        multiply_diagonal(b, factor.side, q, true, team_);
      else
        solve_upper(b, factor.side, q, team_);
    }
    Scaled<T> probe{b};
    normalise(probe);
    // only their ratio matters; a gradient of 0 has no exponent
    const int exponent = largest(gradient.data) == T(0) ? probe.exponent : std::max(gradient.exponent, probe.exponent);
    multiply_by_power(gradient.data, std::max(gradient.exponent - exponent, -2000));
    multiply_by_power(b, std::max(probe.exponent - exponent, -2000));
    for (const Factor& factor : factors_)
      whiten(factor, gradient.data, b, h_.precond_lr, q_ + factor.side.square, work, team_);
    keep_in_range();
  }

  // x <- Q'Q x, of a mean square of 1.1 squared at most: whitened, it is 1.
  void precondition() {
    Scaled<T> x{x_};
    T* spare = other_;
    normalise(x);
    multiply(x.data, spare, false);
    normalise(x);
    multiply(x.data, spare, true);
    const double own = std::sqrt(sum_of_squares(team_, x.data, size_, sums_) / double(size_));
    const double all = std::ldexp(1.0, x.exponent), capped = 1.1 / (own + 1e-6 * std::ldexp(1.0, -x.exponent));
    const double by = capped >= all ? all : capped;  // NaN is neither
    for_blocks(team_, size_, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) x_[i] = static_cast<T>(double(x.data[i]) * by);
    });
  }

  const MatrixTask& task_;
  const KronHypers& h_;
  const Factors& factors_;
  const std::int64_t size_;
  const Team<T>& team_;
  T *const x_, *const momentum_, *const q_;
  double* const sums_;
  T* const other_;
  const Scratch scratch_;
};

}  // namespace

std::int64_t Kron::state_size(std::size_t state, const MatrixView& view, const double* hypers) {
  const Factors factors(view, hypers);
  if (state == 0) return factors.size;
  return factors.numbers > 0 ? factors.numbers : -1;
}

// With each triangular factor: two halves of a product for the direction, and for an update one and a half more, two of
// statistics and one of the factor with its change.
double Kron::flops(const MatrixTask& task) {
  const Factors factors(*task.view, task.hypers);
  const bool learns = updates(task);
  double flops = (learns ? 120 : 20) * double(factors.size);
  for (const Factors::Factor& factor : factors) {
    const double n = factor.diagonal ? 4 : double(factor.side.length);
    flops += (learns ? 7 : 2) * double(factors.size) * n + (learns ? n * n * n : 0);
  }
  return task.wide ? 2 * flops : flops;
}

std::size_t Kron::scratch(const MatrixTask& task) {
  const Factors factors(*task.view, task.hypers);
  return task.wide ? Step<double>::scratch(task, factors) : Step<float>::scratch(task, factors);
}

template <class T>
void Kron::run(const MatrixTask& task, std::int64_t, const Members& members, Scratch scratch) noexcept {
  const Factors factors(*task.view, task.hypers);
  Step<T>(task, factors, members.team<T>(), scratch).run();
}

template void Kron::run<float>(const MatrixTask&, std::int64_t, const Members&, Scratch) noexcept;
template void Kron::run<double>(const MatrixTask&, std::int64_t, const Members&, Scratch) noexcept;

}  // namespace fastopt::matrix
