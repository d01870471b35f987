// Which arrays a walk asks memory for while its rule computes on a block.
#pragma once
#include "engine/block.hpp"
#include "engine/prefetch.hpp"
#include "engine/tensor.hpp"

namespace fastopt::engine {

// A little ahead in the arrays that the rule's loop walks, or the next block of all where some are copied block by block: in
// between the loop stands still, and of a kilobyte ahead in each array too little is under way for the latency (110 ns at
// 59 GB/s are six kilobytes). And the average's block, which comes right after. In the course of a block each address moves
// on by one.
template <class T>
void plan_prefetch(Prefetch& prefetch, const Tensor& tensor, const Gradient& gradient, std::int64_t begin, bool copies) {
  constexpr auto piece = Prefetch::piece / sizeof(T);
  static_assert(block_size<T> % piece == 0);
  const auto add = [&](const char* array, std::size_t bytes, std::size_t ahead) {
    prefetch.add(reinterpret_cast<std::uintptr_t>(array) + static_cast<std::size_t>(begin) * bytes + ahead, piece * bytes);
  };
  const auto ahead = [&](std::size_t bytes) { return copies ? block_size<T> * bytes : std::size_t(Prefetch::ahead); };
  const auto add_stored = [&](const Stored& s) {
    const std::size_t bytes = item_size(s.encoding), second = second_size(s.encoding);
    add(s.data, bytes, ahead(bytes));
    if (second > 0) add(s.second, second, block_size<T> * second);
  };
  add_stored(tensor.theta);
  if (gradient.dense) add(gradient.data, item_size(gradient.dtype), ahead(item_size(gradient.dtype)));
  for (const Stored& state : tensor.states)
    if (state) add_stored(state);
  if (tensor.ema) add(tensor.ema.data, sizeof(T), 0);
}

}  // namespace fastopt::engine
