// One pass over a tensor: load, pre-step, rule, post-step, store.
//
// "One pass" means that each byte crosses the memory bus once. Every action is a branch-free loop of its own over a block
// that stays in L1; which actions there are is decided per block, never per element (a loop with seven run-time flags was
// not vectorised at any level: 50 to 260 us against 8 for 2^14 elements, DESIGN section 3.1).
#pragma once
#include <algorithm>
#include <cmath>

#include "engine/factor.hpp"
#include "engine/tensor.hpp"

namespace fastopt::engine {

// What a step does to the tensors of one group with one step count, in the type of computation.
template <class T>
struct Pass {
  const Kernel* kernel = nullptr;
  T coefs[max_coefs] = {};
  bool clip_value = false, negate = false, coupled = false, l1 = false, decay = false, shrink = false, first = false,
       ema_copy = false;
  T limit = 0, coupled_by = 0, l1_by = 0, decay_by = 0, shrink_by = 0, ema_keep = 0, ema_take = 0;
  Factor<T> unscale, clip_norm;
  rules::Start start[max_states] = {};

  bool only_decay() const { return !changes_gradient() && !shrink && !first; }
  bool changes_gradient() const { return unscale || clip_value || clip_norm || negate || coupled || l1; }
};

namespace block {  // the actions; n elements each, in L1

template <class T>
void clip(T* x, std::int64_t n, T limit) {  // NaN stays NaN
  for (std::int64_t i = 0; i < n; ++i) x[i] = x[i] > limit ? limit : x[i] < -limit ? -limit : x[i];
}
template <class T>
void negate(T* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = -x[i];
}
template <class T>
void add_scaled(T* __restrict x, const T* __restrict y, std::int64_t n, T by) {
  for (std::int64_t i = 0; i < n; ++i) x[i] += by * y[i];
}
template <class T>
void add_sign(T* __restrict x, const T* __restrict y, std::int64_t n, T by) {
  for (std::int64_t i = 0; i < n; ++i) x[i] += by * rules::sign(y[i]);
}
template <class T>
void soft_threshold(T* x, std::int64_t n, T by) {
  for (std::int64_t i = 0; i < n; ++i) {
    const T size = std::abs(x[i]) - by;
    x[i] = size > T(0) ? std::copysign(size, x[i]) : size <= T(0) ? T(0) : x[i];
  }
}
// keep + take = 1: from the end that is nearer, as rules::ema, so that weights at rest are their own average to the last
// bit. Products before differences: their terms are halves at most, so nothing overflows.
template <class T>
void average(T* __restrict mean, const T* __restrict x, std::int64_t n, T keep, T take) {
  if (take < keep)
    for (std::int64_t i = 0; i < n; ++i) mean[i] += take * x[i] - take * mean[i];
  else
    for (std::int64_t i = 0; i < n; ++i) mean[i] = x[i] - (keep * x[i] - keep * mean[i]);
}
// A term with the coefficient 0 is left out: the gradient, or its square alone, may be infinite.
template <class T>
void start(T* __restrict state, const T* __restrict g, std::int64_t n, const rules::Start& s) {
  const T c = static_cast<T>(s.constant), a = static_cast<T>(s.gradient), b = static_cast<T>(s.gradient_squared);
  std::fill_n(state, n, c);
  if (a != T(0))
    for (std::int64_t i = 0; i < n; ++i) state[i] += a * g[i];
  if (b != T(0))
    for (std::int64_t i = 0; i < n; ++i) state[i] += b * (g[i] * g[i]);
}

}  // namespace block

// Beyond the type's largest number nothing finite is clipped, and infinity to that number.
template <class T>
inline T value_limit(double limit) {
  return static_cast<T>(std::min(limit, static_cast<double>(std::numeric_limits<T>::max())));
}

// Loaded and unscaled: where the read pass and the step begin alike.
template <class T>
inline void raw_gradient(const Gradient& g, const Pass<T>& pass, std::int64_t begin, std::int64_t n, T* to) {
  load_gradient(g, begin, n, to);
  pass.unscale.apply(to, n);
}

template <class T>
class Walk {
 public:
  static constexpr std::int64_t block_size = 4096 / sizeof(T);

  Walk(const Tensor& tensor, const Gradient& gradient, const Pass<T>& pass, bool zero_gradients)
      : tensor_(tensor), gradient_(gradient), pass_(pass), kernel_(*pass.kernel), zero_(zero_gradients) {
    own_theta_ = tensor.dtype != dtype_of<T>;
    own_gradient_ = !gradient.dense || gradient.dtype != dtype_of<T> || pass.changes_gradient();
    own_states_ = tensor.state_dtype != dtype_of<T>;
  }

  void update(std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin; at < end; at += block_size) update_block(at, std::min(block_size, end - at), at + block_size < end);
  }

  // The first phase of a rule with sums, over one block of the sums' order (Lanes continue from call to call).
  void reduce(std::int64_t begin, std::int64_t end, Lanes* lanes) {
    for (std::int64_t at = begin; at < end; at += block_size) {
      const std::int64_t n = std::min(block_size, end - at);
      T* theta = load_theta(at, n);
      const T* g = prepared_gradient(theta, at, n);
      T* states[max_states] = {};
      if (kernel_.reduce_writes_states) load_states(states, g, at, n);
      kernel_.template reduce<T>()(theta, g, states, n, pass_.coefs, lanes);
      if (kernel_.reduce_writes_states) store_states(at, n);
    }
  }

 private:
  // What the rule's loop asks for while it computes on a block: a little ahead in the arrays that it walks itself, the
  // next block of those that are copied first, and the average's block, which comes right after.
  void plan_prefetch(std::int64_t at, std::int64_t n) {
    constexpr auto piece = Prefetch::piece / sizeof(T);
    prefetch_.count = 0;
    prefetch_.elements = n;
    const auto add = [&](const void* array, Dtype dtype, bool copied) {
      const std::size_t bytes = item_size(dtype), block = static_cast<std::size_t>(block_size) * bytes;
      prefetch_.add(reinterpret_cast<std::uintptr_t>(array) + static_cast<std::size_t>(at) * bytes +
                        (copied ? block : Prefetch::ahead),
                    piece * bytes);
    };
    add(tensor_.theta, tensor_.dtype, own_theta_);
    if (gradient_.dense) add(gradient_.data, gradient_.dtype, own_gradient_);
    for (int s = 0; s < max_states; ++s)
      if (tensor_.states[s] != nullptr) add(tensor_.states[s], tensor_.state_dtype, own_states_);
    if (tensor_.ema != nullptr)
      prefetch_.add(reinterpret_cast<std::uintptr_t>(tensor_.ema) + static_cast<std::size_t>(at) * sizeof(T), Prefetch::piece);
  }

  // `more`: another block follows.
  void update_block(std::int64_t at, std::int64_t n, bool more) {
    T* theta = load_theta(at, n);
    const bool second_phase = kernel_.sums > 0;
    const T* g = second_phase && !kernel_.reads_gradient ? theta : prepared_gradient(theta, at, n);
    T* states[max_states] = {};
    load_states(states, g, at, n, second_phase && kernel_.reduce_writes_states);
    if (more)
      plan_prefetch(at, n);
    else
      prefetch_.elements = 0;
    kernel_.template update<T>(pass_.decay)(theta, g, states, n, pass_.coefs, pass_.decay_by, prefetch_);
    store_states(at, n);
    if (pass_.shrink) block::soft_threshold(theta, n, pass_.shrink_by);
    if (own_theta_) store_theta(at, n);
    if (tensor_.ema != nullptr) update_ema(tensor_, pass_, theta, at, n);
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
  const T* prepared_gradient(const T* theta, std::int64_t at, std::int64_t n) {
    if (!own_gradient_) return gradient_at(at);
    raw_gradient(gradient_, pass_, at, n, g_);
    if (pass_.clip_value) block::clip(g_, n, pass_.limit);
    pass_.clip_norm.apply(g_, n);
    if (pass_.negate) block::negate(g_, n);
    if (pass_.coupled) block::add_scaled(g_, theta, n, pass_.coupled_by);
    if (pass_.l1) block::add_sign(g_, theta, n, pass_.l1_by);
    return g_;
  }

  void load_states(T** states, const T* g, std::int64_t at, std::int64_t n, bool started = false) {
    for (int s = 0; s < max_states; ++s) {
      if (tensor_.states[s] == nullptr) continue;
      states[s] = own_states_ ? states_[s] : state_at(s, at);
      if (pass_.first && !started)
        block::start(states[s], g, n, pass_.start[s]);
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
  const Pass<T>& pass_;
  const Kernel& kernel_;
  Prefetch prefetch_;
  bool zero_, own_theta_, own_gradient_, own_states_;
  alignas(64) T theta_[block_size];
  alignas(64) T g_[block_size];
  alignas(64) T states_[max_states][block_size];
};

// The common case, all of one type and nothing to do but decay and rule: straight through the arrays.
template <class T>
inline void update_in_place(const Tensor& tensor, const Gradient& gradient, const Pass<T>& pass, std::int64_t begin,
                            std::int64_t end) {
  T* theta = reinterpret_cast<T*>(tensor.theta) + begin;
  const T* g = reinterpret_cast<const T*>(gradient.data) + begin;
  T* states[max_states];
  for (int s = 0; s < max_states; ++s)
    states[s] = tensor.states[s] == nullptr ? nullptr : reinterpret_cast<T*>(tensor.states[s]) + begin;
  Prefetch prefetch;
  prefetch.along = true;
  prefetch.elements = end - begin - Prefetch::ahead / static_cast<std::int64_t>(sizeof(T));
  pass.kernel->template update<T>(pass.decay)(theta, g, states, end - begin, pass.coefs, pass.decay_by, prefetch);
}

template <class T>
inline void update(const Tensor& tensor, const Gradient& gradient, const Pass<T>& pass, std::int64_t begin, std::int64_t end,
                   bool zero_gradients) {
  const bool plain = tensor.dtype == dtype_of<T> && tensor.state_dtype == dtype_of<T> && tensor.ema == nullptr &&
                     gradient.dense && gradient.dtype == dtype_of<T>;
  if (plain && !zero_gradients && pass.only_decay())
    update_in_place(tensor, gradient, pass, begin, end);
  else
    Walk<T>(tensor, gradient, pass, zero_gradients).update(begin, end);
}

template <class T>
inline void update_ema(const Tensor& tensor, const Pass<T>& pass, const T* theta, std::int64_t at, std::int64_t n) {
  T* mean = reinterpret_cast<T*>(tensor.ema) + at;
  if (pass.ema_copy)
    std::copy_n(theta, n, mean);
  else
    block::average(mean, theta, n, pass.ema_keep, pass.ema_take);
}

// theta += by * (first state)
template <class T>
inline void walk_along(const Tensor& tensor, double by, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t size = Walk<T>::block_size;
  alignas(64) T theta[size], state[size];
  for (std::int64_t at = begin; at < end; at += size) {
    const std::int64_t n = std::min(size, end - at);
    dispatch(tensor.state_dtype, [&](auto tag) { load(reinterpret_cast<decltype(tag)*>(tensor.states[0]) + at, state, n); });
    dispatch(tensor.dtype, [&](auto tag) {
      auto* stored = reinterpret_cast<decltype(tag)*>(tensor.theta) + at;
      load(stored, theta, n);
      block::add_scaled(theta, state, n, static_cast<T>(by));
      store(theta, stored, n);
    });
  }
}

// A tensor without a gradient: only its average moves.
template <class T>
inline void walk_ema(const Tensor& tensor, const Pass<T>& pass, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t size = Walk<T>::block_size;
  alignas(64) T theta[size];
  for (std::int64_t at = begin; at < end; at += size) {
    const std::int64_t n = std::min(size, end - at);
    dispatch(tensor.dtype, [&](auto tag) { load(reinterpret_cast<decltype(tag)*>(tensor.theta) + at, theta, n); });
    update_ema(tensor, pass, theta, at, n);
  }
}

}  // namespace fastopt::engine
