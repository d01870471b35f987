#include "matrix/kron.hpp"

#include <algorithm>
#include <cmath>

#include "engine/tensor.hpp"
#include "matrix/normal.hpp"
#include "matrix/preconditioner.hpp"
#include "matrix/scaled.hpp"

namespace fastopt::matrix {
namespace {

// Of random numbers, beside those of rounding, which are numbers of states and the one behind them.
constexpr std::uint64_t probe_role = 64, balance_role = 65;

bool updates(const MatrixTask& task) { return rules::Kron<0>::updates(kron_hypers(task.hypers), task.t, task.scalars[0]); }

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
        q_{factors, static_cast<T*>(task.shaped[1]), team},
        sums_(scratch.take<double>(blocks_of(size_))),
        other_(scratch.take<T>(size_)),
        scratch_(scratch) {}

  static std::size_t scratch(const MatrixTask& task, const Factors& factors) {
    const std::size_t always = Scratch::bytes<double>(blocks_of(factors.size)) + Scratch::bytes<T>(factors.size);
    return updates(task) ? always + 2 * Scratch::bytes<T>(factors.size) + WhiteningWork<T>::bytes(factors) : always;
  }

  void run() {
    if (task_.t == 1 && !task_.tensor->begun) q_.start(h_.precond_init_scale);
    if (momentum_ != nullptr) average();
    const bool learns = updates(task_), from_average = h_.momentum_into_precond_update != 0;
    if (from_average) take_average();
    if (learns) {
      if (task_.view->sides.size() > 1 && draw(balance_role) < h_.balance_prob) q_.balance();
      update_factors();
    }
    if (!from_average) take_average();
    precondition();
  }

 private:
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

  void update_factors() {
    Scratch scratch = scratch_;
    T *a = scratch.take<T>(size_), *const b = scratch.take<T>(size_), *spare = other_;
    const WhiteningWork<T> work(factors_, scratch);
    matrix::copy(team_, x_, size_, a);
    Scaled<T> gradient{a}, probe{b};
    gradient.normalise(team_, size_, sums_);
    q_.multiply(gradient.data, spare, false);
    const bool zero = gradient.normalise(team_, size_, sums_) == T(0);
    draw_probe(b);
    q_.solve(b);
    probe.normalise(team_, size_, sums_);
    // only their ratio matters; a gradient of 0 has no exponent
    const int exponent = zero ? probe.exponent : std::max(gradient.exponent, probe.exponent);
    gradient.shift(team_, size_, gradient.exponent - exponent);
    probe.shift(team_, size_, probe.exponent - exponent);
    q_.learn(gradient.data, b, h_.precond_lr, work);
  }

  // x <- Q'Q x, of a mean square of 1.1 squared at most: whitened, it is 1.
  void precondition() {
    Scaled<T> x{x_};
    T* spare = other_;
    x.normalise(team_, size_, sums_);
    q_.multiply(x.data, spare, false);
    x.normalise(team_, size_, sums_);
    q_.multiply(x.data, spare, true);
    const double own = std::sqrt(sum_of_squares(team_, x.data, size_, sums_) / double(size_));
    const double all = std::ldexp(1.0, x.exponent), capped = 1.1 / (own + 1e-6 * std::ldexp(1.0, -x.exponent));
    const double by = std::isfinite(own) ? std::min(all, capped) : std::nan("");  // NaN of all if of one
    for_blocks(team_, size_, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) x_[i] = static_cast<T>(double(x.data[i]) * by);
    });
  }

  const MatrixTask& task_;
  const KronHypers& h_;
  const Factors& factors_;
  const std::int64_t size_;
  const Team<T>& team_;
  T *const x_, *const momentum_;
  const Preconditioner<T> q_;
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
