// One pass over a tensor: load, pre-step, rule, post-step, store. "One pass" means that each byte crosses the memory bus
// once. Every action is a branch-free loop of its own over a block that stays in L1; which there are is decided per block,
// never per element (a loop with seven run-time flags was not vectorised at any level: 50 to 260 us against 8 for 2^14
// elements).
#pragma once
#include <algorithm>

#include "engine/alone.hpp"
#include "engine/average.hpp"
#include "engine/block.hpp"
#include "engine/gradient.hpp"
#include "engine/plan_prefetch.hpp"

namespace fastopt::engine {

template <class T>
class Walk {
 public:
  Walk(const Tensor& tensor, const Gradient& gradient, const Constants<T>& constants, bool zero_gradients)
      : tensor_(tensor), gradient_(gradient), constants_(constants), kernel_(*constants.kernel), zero_(zero_gradients) {
    own_theta_ = !tensor.theta.template is<T>();
    coded_ = sizeof(T) == 4 && !constants.first && is_coded(tensor, kernel_);
    own_gradient_ = !gradient.dense || gradient.dtype != dtype_of<T>;
    scales_ = constants.scales && !own_gradient_ && !coded_;
    own_gradient_ |= constants.changes_gradient() && !scales_;
    for (int s = 0; s < max_states; ++s) own_state_[s] = tensor.states[s] && !tensor.states[s].template is<T>();
  }

  void update(std::int64_t begin, std::int64_t end) {
    std::int64_t at = begin;
    if (begin == 0 && tensor_.before_line > 0) update_block(0, at = std::min(tensor_.before_line, end));
    if (end - at > block_size<T>) plan_prefetch<T>(prefetch_, tensor_, gradient_, at, copies());
    for (; at < end; at += block_size<T>) {
      prefetch_.elements = at + block_size<T> < end ? block_size<T> : 0;  // not in the last block
      update_block(at, std::min(block_size<T>, end - at));
    }
  }

  // How many elements of the step to come go down their gradient. Nothing is written, nor are random bits drawn.
  std::int64_t agreeing(std::int64_t begin, std::int64_t end) {
    std::int64_t count = 0;
    for (std::int64_t at = begin; at < end; at += block_size<T>) {
      const std::int64_t n = std::min(block_size<T>, end - at);
      const T* theta = load_theta(at, n);
      const T* g = adjusted_gradient(theta, at, n);
      T* states[max_states] = {};
      load_states(states, theta, g, at, n, begun(), true);
      std::fill_n(step_, n, T(0));
      kernel_.update<T>(false, false)(step_, g, states, n, constants_.coefs, Operands<T>(), prefetch_);
      count += block::count_agreeing(step_, g, n);
    }
    return count;
  }

  // The first phase of a rule with sums, over one block of the sums' order (Lanes continue from call to call).
  void reduce(std::int64_t begin, std::int64_t end, Lanes* lanes) {
    for (std::int64_t at = begin; at < end; at += block_size<T>) {
      const std::int64_t n = std::min(block_size<T>, end - at);
      T* theta = load_theta(at, n);
      const T* g = adjusted_gradient(theta, at, n);
      T* states[max_states] = {};
      if (kernel_.reduce_reads != 0) load_states(states, theta, g, at, n, false, false, kernel_.reduce_reads);
      kernel_.template reduce<T>()(theta, g, states, n, constants_.coefs, lanes);
      if (kernel_.reduce_writes_states) store_states(at, n);
    }
  }

  // Of the gradient as the rule meets it.
  void add_squares(std::int64_t begin, std::int64_t end, Lanes& lanes) {
    for (std::int64_t at = begin; at < end; at += block_size<T>) {
      const std::int64_t n = std::min(block_size<T>, end - at);
      lanes.add_squares(adjusted_gradient(load_theta(at, n), at, n), n);
    }
  }

  // Up to a block of the gradient as the rule meets it: where it lies, or else here until the next call.
  const T* gradient(std::int64_t at, std::int64_t n) { return adjusted_gradient(load_theta(at, n), at, n); }
  bool owns_gradient() const { return own_gradient_; }

  // The first pass of a rule of matrices, into memory that lies as a gradient does.
  void gather(std::int64_t begin, std::int64_t end, const Gradient& matrix) {
    alignas(64) T buffer[block_size<T>];
    for (std::int64_t at = begin; at < end; at += block_size<T>) {
      const std::int64_t n = std::min(block_size<T>, end - at);
      T* theta = load_theta(at, n);
      const T* g = adjusted_gradient(theta, at, n);
      T* states[max_states] = {};
      load_states(states, theta, g, at, n);
      T* to = matrix.dense ? reinterpret_cast<T*>(matrix.data) + at : buffer;
      kernel_.template gather<T>()(theta, g, states, n, constants_.coefs, to);
      store_states(at, n);
      if (!matrix.dense) store_strided(matrix, at, n, buffer);
      if (zero_) zero_gradient(gradient_, at, n);
    }
  }

 private:
  void update_block(std::int64_t at, std::int64_t n) {
    T* theta = load_theta(at, n);
    const bool alone = constants_.alone(), second_phase = kernel_.sums > 0 || kernel_.transform;
    const T* g = second_phase && !kernel_.reads_gradient && !alone ? theta : adjusted_gradient(theta, at, n);
    if (alone) {
      std::fill_n(step_, n, T(0));
      run_rule(step_, g, at, n);
      take_step(theta, step_, g, n, constants_);
    } else {
      run_rule(theta, g, at, n);
    }
    if (constants_.shrink) block::soft_threshold(theta, n, constants_.shrink_by);
    if (own_theta_) {
      store(tensor_.theta, at, n, theta_, dither(parameter_role));
      // what is kept, not what was computed, is what an average must be taken of
      if (tensor_.ema) load_theta(at, n);
    }
    if (tensor_.shadow) store(tensor_.shadow, at, n, theta, Dither());
    if (tensor_.ema) update_average(tensor_, constants_, theta, at, n);
    if (zero_) zero_gradient(gradient_, at, n);
  }

  void run_rule(T* theta, const T* g, std::int64_t at, std::int64_t n) {
    if (coded_) {
      if constexpr (sizeof(T) == 4) update_coded(theta, g, at, n);
      return;
    }
    T* states[max_states] = {};
    load_states(states, theta, g, at, n, begun());
    kernel_.update<T>(constants_.decay, scales_)(theta, g, states, n, constants_.coefs, constants_.operands(), prefetch_);
    if (!begun()) store_states(at, n);
  }
  bool copies() const {
    return own_theta_ || own_gradient_ || std::find(own_state_, own_state_ + max_states, true) != own_state_ + max_states;
  }
  // The first phase has been at the states.
  bool begun() const { return (kernel_.sums > 0 || kernel_.transform) && kernel_.reduce_writes_states; }

  void update_coded(float* theta, const float* g, std::int64_t at, std::int64_t n) {
    static_assert(Dither::run % block_size<float> == 0);  // a block lies in one run of the random bits
    StateAt states[max_states];
    for (int s = 0; s < max_states; ++s) {
      const Stored& stored = tensor_.states[s];
      states[s] = {stored.at<float>(at), stored.at<std::uint8_t>(at),
                   reinterpret_cast<float*>(stored.second) + at / code_group,
                   dither(static_cast<std::uint64_t>(s)).from(at)};
    }
    const auto update = constants_.decay ? kernel_.decayed_coded : kernel_.update_coded;
    update(theta, g, states, n, constants_.coefs, constants_.decay_by, prefetch_);
  }

  static constexpr std::uint64_t parameter_role = max_states;  // of random bits; those of states are their numbers
  Dither dither(std::uint64_t role) const { return {constants_.dither, tensor_.number, role}; }

  T* load_theta(std::int64_t at, std::int64_t n) {
    if (!own_theta_) return tensor_.theta.template at<T>(at);
    load(tensor_.theta, at, n, theta_);
    return theta_;
  }

  // In the documented order of operations, up to the rule.
  const T* adjusted_gradient(const T* theta, std::int64_t at, std::int64_t n) {
    if (!own_gradient_) return reinterpret_cast<const T*>(gradient_.data) + at;
    Underway<T> g = clipped_gradient(gradient_, constants_, at, n, g_);
    if (constants_.means != nullptr) take_means(tensor_, constants_, at, n, g.owned());
    if (constants_.negate) g.negate();
    if (constants_.coupled) g.add_scaled(theta, constants_.coupled_by);
    if (constants_.l1) g.add_sign(theta, constants_.l1_by);
    return g.get();
  }

  // `copies`: also of what lies in the type of computation, so that nothing is written. `which`: a bit for each state.
  void load_states(T** states, const T* theta, const T* g, std::int64_t at, std::int64_t n, bool started = false,
                   bool copies = false, unsigned which = ~0u) {
    for (int s = 0; s < max_states; ++s) {
      const Stored& stored = tensor_.states[s];
      if (!stored || (which >> s & 1) == 0) continue;
      const bool own = copies || own_state_[s];
      states[s] = own ? states_[s] : stored.template at<T>(at);
      if (constants_.first && !started)
        block::start(states[s], theta, g, n, constants_.start[s]);
      else if (own)
        load(stored, at, n, states_[s]);
    }
  }
  void store_states(std::int64_t at, std::int64_t n) {
    for (int s = 0; s < max_states; ++s)
      if (own_state_[s]) store(tensor_.states[s], at, n, states_[s], dither(static_cast<std::uint64_t>(s)));
  }

  const Tensor& tensor_;
  const Gradient& gradient_;
  const Constants<T>& constants_;
  const Kernel& kernel_;
  Prefetch prefetch_;
  bool zero_ = false, own_theta_, own_gradient_, own_state_[max_states], coded_, scales_;
  alignas(64) T theta_[block_size<T>];
  alignas(64) T g_[block_size<T>];
  alignas(64) T step_[block_size<T>];  // of a rule that is run from zero
  alignas(64) T states_[max_states][block_size<T>];
};

}  // namespace fastopt::engine
