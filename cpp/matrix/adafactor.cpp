#include "matrix/adafactor.hpp"

#include <algorithm>
#include <cmath>

#include "engine/tensor.hpp"
#include "matrix/elements.hpp"
#include "matrix/second_moments.hpp"

namespace fastopt::matrix {
namespace {

using linalg::Team;

// As rules::Adafactor::Hypers has them.
struct Numbers {
  double lr, beta2_decay, eps1, eps2, d, weight_decay, beta1, relative_step, scale_parameter, warmup_init, added,
      scaled_decay;
};

const Numbers& numbers_of(const MatrixTask& task) { return *reinterpret_cast<const Numbers*>(task.hypers); }

// Of the parameter's own type, as torch.finfo has it.
double epsilon_of(engine::Dtype dtype) {
  switch (dtype) {
    case engine::Dtype::f64: return 0x1p-52;
    case engine::Dtype::bf16: return 0x1p-7;
    case engine::Dtype::f16: return 0x1p-10;
    default: return 0x1p-23;
  }
}

template <class T>
SecondMoments<T> moments_of(const MatrixTask& task) {
  const Numbers& n = numbers_of(task);
  const auto state = [&](int i) { return static_cast<T*>(task.shaped[i]); };
  const double eps = n.eps1 >= 0 ? n.eps1 : epsilon_of(task.tensor->dtype());
  const double rest = std::pow(static_cast<double>(task.t), n.beta2_decay);
  const double added = n.added != 0 ? eps : 0;
  return {Pieces(*task.view), &task, state(0), state(1), state(2), rest, added, eps - added};
}

template <class T>
class Step {
 public:
  Step(const MatrixTask& task, const Team<T>& team, Scratch scratch)
      : task_(task), n_(numbers_of(task)), team_(team), moments_(moments_of<T>(task)) {
    moments_.take(scratch);
    sums_ = scratch.take<double>(std::max(pieces().all(), blocks_of(pieces().size())));
  }

  static std::size_t scratch(const MatrixTask& task) {
    const Pieces pieces(*task.view);
    return SecondMoments<T>::scratch(*task.view) + Scratch::bytes<double>(std::max(pieces.all(), blocks_of(pieces.size())));
  }

  void run() {
    moments_.update(team_);
    const double rate = rate_of_step();
    const T by = static_cast<T>(rate / std::max(1.0, size_of_update() / n_.d));
    const T decay = n_.scaled_decay != 0 ? static_cast<T>(rate * n_.weight_decay) : T(0);
    apply(by, decay);
    if (task_.x != nullptr && decay > T(0)) add_decay(decay);
  }

 private:
  const Pieces& pieces() const { return moments_.pieces; }

  // The rate before clipping: relative to t, and to theta.
  double rate_of_step() {
    const double t = static_cast<double>(task_.t);
    double rate = n_.lr;
    if (n_.relative_step != 0) rate = std::min(n_.warmup_init != 0 ? 1e-6 * t : n_.lr, 1 / std::sqrt(t));
    return n_.scale_parameter != 0 ? rate * std::max(n_.eps2, size_of_theta()) : rate;
  }

  // The root of the mean of squares whose sums are in `count` parts.
  double root_mean_square(std::int64_t count) const {
    double sum = 0;
    for (std::int64_t i = 0; i < count; ++i) sum += sums_[i];
    return std::sqrt(sum / static_cast<double>(pieces().size()));
  }

  double size_of_theta() {
    const std::int64_t size = pieces().size();
    for_blocks(team_, size, [&](std::int64_t block, std::int64_t begin, std::int64_t end) {
      alignas(64) T theta[engine::sum_block];
      engine::load(task_.tensor->theta, begin, end - begin, theta);
      engine::Lanes lanes;
      lanes.add_squares(theta, end - begin);
      sums_[block] = lanes.total();
    });
    return root_mean_square(blocks_of(size));
  }

  double size_of_update() {
    pieces().each(team_, [&](std::int64_t piece, std::int64_t first, std::int64_t last) {
      sums_[piece] = moments_.sum_of_squares(first, last);
    });
    return root_mean_square(pieces().all());
  }

  void apply(T by, T decay) {
    T* const average = static_cast<T*>(task_.shaped[3]);
    const auto beta1 = average_in<T>(n_.beta1);
    pieces().each(team_, [&](std::int64_t, std::int64_t first, std::int64_t last) {
      Source<T> gradient = moments_.source();
      Sink<T> sink(task_);
      alignas(64) T buffer[stretch<T>], u[stretch<T>];
      for_each_stretch<T>(first * pieces().columns, last * pieces().columns, [&](std::int64_t at, std::int64_t n) {
        moments_.scale(at, n, gradient.read(at, n, buffer), u);
        if (average == nullptr)
          for (std::int64_t j = 0; j < n; ++j) u[j] *= by;
        else
          for (std::int64_t j = 0; j < n; ++j)
            u[j] = average[at + j] = rules::flushed(rules::ema(average[at + j], by * u[j], beta1));
        if (sink.streams() && decay > T(0)) {
          engine::load(task_.tensor->theta, at, n, buffer);
          for (std::int64_t j = 0; j < n; ++j) u[j] += decay * buffer[j];
        }
        sink.write(at, n, u);
      });
    });
  }

  // x += decay * theta, which lies in another order.
  void add_decay(T decay) {
    engine::Gradient where;
    where.data = static_cast<char*>(task_.x) + task_.view->offset;
    where.axes = static_cast<int>(task_.view->shape.size());
    where.shape = task_.view->shape.data();
    where.strides = task_.view->strides.data();
    for_blocks(team_, pieces().size(), [&](std::int64_t, std::int64_t begin, std::int64_t end) {
      alignas(64) T theta[engine::sum_block];
      engine::load(task_.tensor->theta, begin, end - begin, theta);
      const T* from = theta;
      engine::for_each_run(where, begin, end - begin, [&](char* to, std::int64_t count, std::int64_t stride) {
        for (std::int64_t i = 0; i < count; ++i, to += stride) *reinterpret_cast<T*>(to) += decay * *from++;
      });
    });
  }

  const MatrixTask& task_;
  const Numbers& n_;
  const Team<T>& team_;
  SecondMoments<T> moments_;
  double* sums_;
};

}  // namespace

template <bool averages>
std::int64_t Adafactor<averages>::state_size(std::size_t state, const MatrixView& view, const double*) {
  const bool factored = view.sides.size() > 1;
  switch (state) {
    case 0: return factored ? view.count * view.rows : -1;
    case 1: return factored ? view.count * view.columns : -1;
    case 2: return factored ? -1 : view.count * view.rows * view.columns;
    default: return view.count * view.rows * view.columns;
  }
}

// Four passes over the elements, as bytes of memory and not as operations.
template <bool averages>
double Adafactor<averages>::flops(const MatrixTask& task) {
  return 100 * static_cast<double>(Pieces(*task.view).size());
}

template <bool averages>
std::size_t Adafactor<averages>::scratch(const MatrixTask& task) {
  return task.wide ? Step<double>::scratch(task) : Step<float>::scratch(task);
}

template <bool averages>
template <class T>
void Adafactor<averages>::run(const MatrixTask& task, std::int64_t, const Members& members, Scratch scratch) noexcept {
  Step<T>(task, members.team<T>(), scratch).run();
}

template struct Adafactor<false>;
template struct Adafactor<true>;
template void Adafactor<false>::run<float>(const MatrixTask&, std::int64_t, const Members&, Scratch) noexcept;
template void Adafactor<false>::run<double>(const MatrixTask&, std::int64_t, const Members&, Scratch) noexcept;
template void Adafactor<true>::run<float>(const MatrixTask&, std::int64_t, const Members&, Scratch) noexcept;
template void Adafactor<true>::run<double>(const MatrixTask&, std::int64_t, const Members&, Scratch) noexcept;

}  // namespace fastopt::matrix
