// The update of a part of a tensor: straight through the arrays where that will do, else block by block (walk.hpp).
#pragma once
#include "engine/walk.hpp"

namespace fastopt::engine {

// The common case, all of one type and nothing to do but decay and rule: straight through the arrays.
template <class T>
inline void update_in_place(const Tensor& tensor, const Gradient& gradient, const Constants<T>& constants,
                            std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t ahead = Prefetch::ahead / static_cast<std::int64_t>(sizeof(T));
  const auto kernel = constants.kernel->template update<T>(constants.decay, constants.scales);
  const auto range = [&](std::int64_t from, std::int64_t to) {
    T* states[max_states];
    for (int s = 0; s < max_states; ++s) states[s] = tensor.states[s] ? tensor.states[s].at<T>(from) : nullptr;
    Prefetch prefetch;
    prefetch.along = true;
    prefetch.elements = std::min(to, tensor.size - ahead) - from;
    kernel(tensor.theta.at<T>(from), reinterpret_cast<const T*>(gradient.data) + from, states, to - from, constants.coefs,
           constants.operands(), prefetch);
  };
  if (begin == 0 && tensor.before_line > 0) range(0, begin = std::min(tensor.before_line, end));
  range(begin, end);
}

// The walk's blocks must not straddle two runs of random bits, which begin where the table's elements are counted off.
template <class F>
void for_each_run_of_dither(std::int64_t begin, std::int64_t end, F&& f) {
  for (std::int64_t at = begin; at < end;) {
    const std::int64_t next = std::min(end, (at / Dither::run + 1) * Dither::run);
    f(at, next);
    at = next;
  }
}

// The rule's loop takes the arrays as they lie.
template <class T>
inline bool goes_in_place(const Tensor& tensor, const Gradient& gradient) {
  return tensor.in_place && gradient.dense && gradient.dtype == dtype_of<T> && gradient.rows == nullptr;
}

template <class T>
inline void update(const Tensor& tensor, const Gradient& gradient, const Constants<T>& constants, std::int64_t begin,
                   std::int64_t end, bool zero_gradients) {
  if (goes_in_place<T>(tensor, gradient) && !zero_gradients && constants.in_loop())
    update_in_place(tensor, gradient, constants, begin, end);
  else
    Walk<T>(tensor, gradient, constants, zero_gradients).update(begin, end);
}

}  // namespace fastopt::engine
