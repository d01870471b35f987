// One pass over a tensor: load, pre-step, rule, post-step, store.
//
// "One pass" means that each byte crosses the memory bus once. Every action is a branch-free loop of its own over a block
// that stays in L1; which actions there are is decided per block, never per element (a loop with seven run-time flags was
// not vectorised at any level: 50 to 260 us against 8 for 2^14 elements, DESIGN section 3.1).
#pragma once
#include <algorithm>

#include "engine/average.hpp"
#include "engine/block.hpp"
#include "engine/constants.hpp"
#include "engine/tensor.hpp"

namespace fastopt::engine {

// Loaded and unscaled: where the read pass and the step begin alike.
template <class T>
inline void raw_gradient(const Gradient& g, const Constants<T>& constants, std::int64_t begin, std::int64_t n, T* to) {
  load_gradient(g, begin, n, to);
  constants.unscale.apply(to, n);
}

template <class T>
class Walk {
 public:
  Walk(const Tensor& tensor, const Gradient& gradient, const Constants<T>& constants, bool zero_gradients)
      : tensor_(tensor), gradient_(gradient), constants_(constants), kernel_(*constants.kernel), zero_(zero_gradients) {
    own_theta_ = tensor.dtype != dtype_of<T>;
    own_gradient_ = !gradient.dense || gradient.dtype != dtype_of<T> || constants.changes_gradient();
    own_states_ = tensor.state_dtype != dtype_of<T>;
  }

  void update(std::int64_t begin, std::int64_t end) {
    if (end - begin > block_size<T>) plan_prefetch(begin);
    for (std::int64_t at = begin; at < end; at += block_size<T>) {
      prefetch_.elements = at + block_size<T> < end ? block_size<T> : 0;  // not in the last block
      update_block(at, std::min(block_size<T>, end - at));
    }
  }

  // The first phase of a rule with sums, over one block of the sums' order (Lanes continue from call to call).
  void reduce(std::int64_t begin, std::int64_t end, Lanes* lanes) {
    for (std::int64_t at = begin; at < end; at += block_size<T>) {
      const std::int64_t n = std::min(block_size<T>, end - at);
      T* theta = load_theta(at, n);
      const T* g = adjusted_gradient(theta, at, n);
      T* states[max_states] = {};
      if (kernel_.reduce_writes_states) load_states(states, g, at, n);
      kernel_.template reduce<T>()(theta, g, states, n, constants_.coefs, lanes);
      if (kernel_.reduce_writes_states) store_states(at, n);
    }
  }

 private:
  // What the rule's loop asks for while it computes on a block: a little ahead in the arrays that it walks itself, the
  // next block of those that are copied first, and the average's block, which comes right after. In the course of a block
  // each address moves on by a block.
  void plan_prefetch(std::int64_t at) {
    constexpr auto piece = Prefetch::piece / sizeof(T);
    static_assert(block_size<T> % piece == 0);
    const auto add = [&](const void* array, Dtype dtype, bool copied) {
      const std::size_t bytes = item_size(dtype), block = static_cast<std::size_t>(block_size<T>) * bytes;
      prefetch_.add(reinterpret_cast<std::uintptr_t>(array) + static_cast<std::size_t>(at) * bytes +
                        (copied ? block : Prefetch::ahead),
                    piece * bytes);
    };
    add(tensor_.theta, tensor_.dtype, own_theta_);
    if (gradient_.dense) add(gradient_.data, gradient_.dtype, own_gradient_);
    for (int s = 0; s < max_states; ++s)
      if (tensor_.states[s] != nullptr) add(tensor_.states[s], tensor_.state_dtype, own_states_);
    if (tensor_.ema != nullptr)
      prefetch_.add(reinterpret_cast<std::uintptr_t>(tensor_.ema) + static_cast<std::size_t>(at) * sizeof(T),
                    Prefetch::piece);
  }

  void update_block(std::int64_t at, std::int64_t n) {
    T* theta = load_theta(at, n);
    const bool second_phase = kernel_.sums > 0;
    const T* g = second_phase && !kernel_.reads_gradient ? theta : adjusted_gradient(theta, at, n);
    T* states[max_states] = {};
    load_states(states, g, at, n, second_phase && kernel_.reduce_writes_states);
    kernel_.template update<T>(constants_.decay)(theta, g, states, n, constants_.coefs, constants_.decay_by, prefetch_);
    store_states(at, n);
    if (constants_.shrink) block::soft_threshold(theta, n, constants_.shrink_by);
    if (own_theta_) store_theta(at, n);
    if (tensor_.ema != nullptr) update_average(tensor_, constants_, theta, at, n);
    if (zero_) zero_gradient(gradient_, at, n);
  }

  T* theta_at(std::int64_t at) const { return reinterpret_cast<T*>(tensor_.theta) + at; }
  const T* gradient_at(std::int64_t at) const { return reinterpret_cast<const T*>(gradient_.data) + at; }
  T* state_at(int s, std::int64_t at) const {
    return tensor_.states[s] == nullptr ? nullptr : reinterpret_cast<T*>(tensor_.states[s]) + at;
  }

  T* load_theta(std::int64_t at, std::int64_t n) {
    if (!own_theta_) return theta_at(at);
    dispatch(tensor_.dtype, [&](auto tag) { load(reinterpret_cast<decltype(tag)*>(tensor_.theta) + at, theta_, n); });
    return theta_;
  }
  void store_theta(std::int64_t at, std::int64_t n) {
    dispatch(tensor_.dtype, [&](auto tag) { store(theta_, reinterpret_cast<decltype(tag)*>(tensor_.theta) + at, n); });
    // what is kept, not what was computed, is what an average must be taken of
    if (tensor_.ema != nullptr) load_theta(at, n);
  }

  // The order of operations of DESIGN section 4, up to the rule.
  const T* adjusted_gradient(const T* theta, std::int64_t at, std::int64_t n) {
    if (!own_gradient_) return gradient_at(at);
    raw_gradient(gradient_, constants_, at, n, g_);
    if (constants_.clip_value) block::clip(g_, n, constants_.limit);
    constants_.clip_norm.apply(g_, n);
    if (constants_.negate) block::negate(g_, n);
    if (constants_.coupled) block::add_scaled(g_, theta, n, constants_.coupled_by);
    if (constants_.l1) block::add_sign(g_, theta, n, constants_.l1_by);
    return g_;
  }

  void load_states(T** states, const T* g, std::int64_t at, std::int64_t n, bool started = false) {
    for (int s = 0; s < max_states; ++s) {
      if (tensor_.states[s] == nullptr) continue;
      states[s] = own_states_ ? states_[s] : state_at(s, at);
      if (constants_.first && !started)
        block::start(states[s], g, n, constants_.start[s]);
      else if (own_states_)
        dispatch(tensor_.state_dtype,
                 [&](auto tag) { load(reinterpret_cast<decltype(tag)*>(tensor_.states[s]) + at, states_[s], n); });
    }
  }
  void store_states(std::int64_t at, std::int64_t n) {
    if (!own_states_) return;
    for (int s = 0; s < max_states; ++s)
      if (tensor_.states[s] != nullptr)
        dispatch(tensor_.state_dtype,
                 [&](auto tag) { store(states_[s], reinterpret_cast<decltype(tag)*>(tensor_.states[s]) + at, n); });
  }

  const Tensor& tensor_;
  const Gradient& gradient_;
  const Constants<T>& constants_;
  const Kernel& kernel_;
  Prefetch prefetch_;
  bool zero_, own_theta_, own_gradient_, own_states_;
  alignas(64) T theta_[block_size<T>];
  alignas(64) T g_[block_size<T>];
  alignas(64) T states_[max_states][block_size<T>];
};

// The common case, all of one type and nothing to do but decay and rule: straight through the arrays.
template <class T>
inline void update_in_place(const Tensor& tensor, const Gradient& gradient, const Constants<T>& constants,
                            std::int64_t begin, std::int64_t end) {
  T* theta = reinterpret_cast<T*>(tensor.theta) + begin;
  const T* g = reinterpret_cast<const T*>(gradient.data) + begin;
  T* states[max_states];
  for (int s = 0; s < max_states; ++s)
    states[s] = tensor.states[s] == nullptr ? nullptr : reinterpret_cast<T*>(tensor.states[s]) + begin;
  Prefetch prefetch;
  prefetch.along = true;
  prefetch.elements = end - begin - Prefetch::ahead / static_cast<std::int64_t>(sizeof(T));
  constants.kernel->template update<T>(constants.decay)(theta, g, states, end - begin, constants.coefs, constants.decay_by,
                                                        prefetch);
}

template <class T>
inline void update(const Tensor& tensor, const Gradient& gradient, const Constants<T>& constants, std::int64_t begin,
                   std::int64_t end, bool zero_gradients) {
  const bool plain = tensor.dtype == dtype_of<T> && tensor.state_dtype == dtype_of<T> && tensor.ema == nullptr &&
                     gradient.dense && gradient.dtype == dtype_of<T>;
  if (plain && !zero_gradients && constants.only_decay())
    update_in_place(tensor, gradient, constants, begin, end);
  else
    Walk<T>(tensor, gradient, constants, zero_gradients).update(begin, end);
}

}  // namespace fastopt::engine
