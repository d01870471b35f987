#include "matrix/shampoo.hpp"

#include <algorithm>
#include <cmath>

#include "matrix/elements.hpp"
#include "matrix/inverse_root.hpp"
#include "matrix/range.hpp"
#include "matrix/tensor_sides.hpp"

namespace fastopt::matrix {
namespace {

// As rules::Shampoo::Hypers has them. grafting: 0 none, 1 SGD, 2 Adam.
struct Numbers {
  double lr, momentum, epsilon, beta2, update_freq, block_size, grafting, graft_beta2, graft_eps;
};

const Numbers& numbers_of(const double* hypers) { return *reinterpret_cast<const Numbers*>(hypers); }

constexpr int more_steps = 24;  // whose sums of squares stay finite, as a power of two

// The blocks, of at most `block_size` indices, of all sides: f(part), its matrix behind those before.
template <class F>
void for_parts(const MatrixView& view, const double* hypers, F&& f) {
  const auto block = static_cast<std::int64_t>(numbers_of(hypers).block_size);
  Side part;
  for (const std::int64_t length : view.sides) part.after *= length;
  if (part.after == 0) return;
  for (const std::int64_t length : view.sides) {
    part.whole = length;
    part.after /= length;
    for (part.first = 0; part.first < length; part.first += block) {
      part.length = std::min(block, length - part.first);
      f(part);
      part.square += part.length * part.length;
    }
    part.before *= length;
  }
}

struct Extent {
  std::int64_t size = 1, squares = 0, longest = 0;
  Extent(const MatrixView& view, const double* hypers) {
    for (const std::int64_t length : view.sides) size *= length;
    for_parts(view, hypers, [&](const Side& part) {
      squares = part.square + part.length * part.length;
      longest = std::max(longest, part.length);
    });
  }
};

template <class T>
class Step {
 public:
  Step(const MatrixTask& task, const Team<T>& team, Scratch scratch)
      : task_(task),
        n_(numbers_of(task.hypers)),
        extent_(*task.view, task.hypers),
        size_(extent_.size),
        t_(task.t),
        team_(team),
        x_(static_cast<T*>(task.x)),
        exp_avg_(state(task, 0)),
        exp_avg_sq_(state(task, 1)),
        statistics_(state(task, 2)),
        roots_(state(task, 3)),
        other_(scratch.take<T>(size_)),
        work_(scratch.take<T>(inverse_root_work(extent_.longest))),
        sums_(scratch.take<double>(blocks_of(size_))) {}

  static std::size_t scratch(const Extent& of) {
    return Scratch::bytes<T>(of.size) + Scratch::bytes<T>(inverse_root_work(of.longest)) +
           Scratch::bytes<double>(blocks_of(of.size));
  }

  void run() {
    if (!task_.view->sides.empty()) bring_into_range(team_, size_ << more_steps, without_unit(), size_, x_, sums_);
    add_statistics();
    if ((t_ - 1) % static_cast<std::int64_t>(n_.update_freq) == 0) update_roots();
    if (exp_avg_sq_ != nullptr) average_squares();
    if (exp_avg_ != nullptr) average();
    const double length = n_.grafting != 0 ? std::sqrt(sum_of_grafted()) : 0;
    precondition();
    if (n_.grafting == 0) return;
    const double own = std::sqrt(sum_of_squares(team_, x_, size_, sums_));
    if (own != 0) matrix::scale(team_, static_cast<T>(length / own), size_, x_);
  }

 private:
  template <class F>
  void for_each_part(F&& f) {
    for_parts(*task_.view, task_.hypers, f);
  }
  static T* state(const MatrixTask& task, int i) { return static_cast<T*>(task.shaped[i]); }

  // Does no epsilon, nor the length of a step of SGD, have the unit of the gradient?
  bool without_unit() const {
    return n_.epsilon == 0 && (n_.grafting == 0 || (exp_avg_sq_ != nullptr && n_.graft_eps == 0));
  }

  void add_statistics() {
    const bool sum = n_.beta2 == 1;
    const T forget = static_cast<T>(1 - n_.beta2), take = sum ? T(1) : forget;
    for_each_part([&](const Side& part) {
      T* const of = statistics_ + part.square;
      if (t_ == 1)
        for (std::int64_t i = 0; i < part.length; ++i) of[i * part.length + i] = static_cast<T>(n_.epsilon);
      add_gram(x_, part, forget, take, of, team_);
    });
  }

  void update_roots() {
    const double p = 2 * static_cast<double>(task_.view->sides.size());
    for_each_part([&](const Side& part) {
      T* const root = roots_ + part.square;
      const bool found = inverse_root(statistics_ + part.square, part.length, p, n_.epsilon, root, work_, team_);
      if (found || t_ > 1) return;  // without memory that of before, or what the statistics begin with
      std::fill_n(root, part.length * part.length, T(0));
      for (std::int64_t i = 0; i < part.length; ++i)
        root[i * part.length + i] = static_cast<T>(std::pow(std::max(n_.epsilon, 1e-30), -1 / p));
    });
  }

  void average_squares() {
    const auto beta = average_in<T>(n_.graft_beta2);
    const T flush = rules::may_flush(n_.graft_eps, false) != 0 ? T(1) : T(0);
    for_blocks(team_, size_, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        exp_avg_sq_[i] = rules::flushed_square(rules::ema_squares(exp_avg_sq_[i], x_[i] * x_[i], beta), flush);
    });
  }

  void average() {
    const auto beta = average_in<T>(n_.momentum);
    for_blocks(team_, size_, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) x_[i] = exp_avg_[i] = rules::flushed(rules::ema(exp_avg_[i], x_[i], beta));
    });
  }

  // Of the step of the rule whose length is taken, SGD's or Adam's.
  double sum_of_grafted() {
    if (exp_avg_sq_ == nullptr) return sum_of_squares(team_, x_, size_, sums_);
    const T correct = static_cast<T>(1 / std::sqrt(rules::bias_correction(n_.graft_beta2, t_)));
    const T eps = static_cast<T>(n_.graft_eps);
    for_blocks(team_, size_, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        other_[i] = x_[i] / rules::corrected_root<false>(exp_avg_sq_[i], correct, eps);
    });
    return sum_of_squares(team_, other_, size_, sums_);
  }

  // x <- x along all sides times their roots; the blocks of one side are parts of one result.
  void precondition() {
    T *from = x_, *to = other_;
    for_each_part([&](const Side& part) {
      rotate(from, part, roots_ + part.square, false, to, team_);
      if (part.first + part.length == part.whole) std::swap(from, to);
    });
    if (from != x_) matrix::copy(team_, from, size_, x_);
  }

  const MatrixTask& task_;
  const Numbers& n_;
  const Extent extent_;
  const std::int64_t size_;
  const std::int64_t t_;
  const Team<T>& team_;
  T *const x_, *const exp_avg_, *const exp_avg_sq_, *const statistics_, *const roots_, *const other_, *const work_;
  double* const sums_;
};

}  // namespace

std::int64_t Shampoo::state_size(std::size_t state, const MatrixView& view, const double* hypers) {
  const Extent extent(view, hypers);
  if (state < 2) return extent.size;
  return extent.squares > 0 ? extent.squares : -1;
}

// A product with each side and half of one for its statistics; eigenvectors and roots are some 10 n^3.
double Shampoo::flops(const MatrixTask& task) {
  const bool roots = (task.t - 1) % static_cast<std::int64_t>(numbers_of(task.hypers).update_freq) == 0;
  const double size = double(Extent(*task.view, task.hypers).size);
  double flops = 20 * size;
  for_parts(*task.view, task.hypers, [&](const Side& part) {
    const double n = double(part.length);
    flops += 3 * size / double(part.whole) * n * n + (roots ? 10 * n * n * n : 0);
  });
  return task.wide ? 2 * flops : flops;
}

std::size_t Shampoo::scratch(const MatrixTask& task) {
  const Extent extent(*task.view, task.hypers);
  return task.wide ? Step<double>::scratch(extent) : Step<float>::scratch(extent);
}

template <class T>
void Shampoo::run(const MatrixTask& task, std::int64_t, const Members& members, Scratch scratch) noexcept {
  Step<T>(task, members.team<T>(), scratch).run();
}

template void Shampoo::run<float>(const MatrixTask&, std::int64_t, const Members&, Scratch) noexcept;
template void Shampoo::run<double>(const MatrixTask&, std::int64_t, const Members&, Scratch) noexcept;

}  // namespace fastopt::matrix
