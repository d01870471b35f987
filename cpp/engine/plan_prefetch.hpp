// Which arrays a walk asks memory for while its rule computes on a block.
#pragma once
#include "engine/block.hpp"
#include "engine/prefetch.hpp"
#include "engine/tensor.hpp"

namespace fastopt::engine {

struct Copied {
  bool theta, gradient;
  const bool* states;
};

// A little ahead in the arrays that the rule's loop walks itself, the next block of those that are copied first, and the
// average's block, which comes right after. In the course of a block each address moves on by one.
template <class T>
void plan_prefetch(Prefetch& prefetch, const Tensor& tensor, const Gradient& gradient, std::int64_t begin, Copied copied) {
  constexpr auto piece = Prefetch::piece / sizeof(T);
  static_assert(block_size<T> % piece == 0);
  const auto add = [&](const char* array, std::size_t bytes, std::size_t ahead) {
    prefetch.add(reinterpret_cast<std::uintptr_t>(array) + static_cast<std::size_t>(begin) * bytes + ahead, piece * bytes);
  };
  const auto add_stored = [&](const Stored& s, bool first) {
    const std::size_t bytes = item_size(s.encoding), second = second_size(s.encoding);
    add(s.data, bytes, first ? block_size<T> * bytes : Prefetch::ahead);
    if (second > 0) add(s.second, second, block_size<T> * second);
  };
  add_stored(tensor.theta, copied.theta || copied.gradient);
  if (gradient.dense) {
    const std::size_t bytes = item_size(gradient.dtype);
    add(gradient.data, bytes, copied.gradient ? block_size<T> * bytes : Prefetch::ahead);
  }
  for (int s = 0; s < max_states; ++s)
    if (tensor.states[s]) add_stored(tensor.states[s], copied.states[s] || copied.gradient);
  if (tensor.ema) add(tensor.ema.data, sizeof(T), 0);
}

}  // namespace fastopt::engine
