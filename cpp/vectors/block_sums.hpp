// A pass over vectors in blocks, with sums that have the same bits at every thread count: block sums added in order.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/environment.hpp"
#include "engine/lanes.hpp"
#include "threads/carry.hpp"

namespace fastopt::vectors {

using engine::DefaultEnvironment;
using engine::sum_block;

// One at least: the sums of no elements are zeros.
constexpr std::int64_t sum_blocks(std::int64_t n) { return n > sum_block ? (n + sum_block - 1) / sum_block : 1; }

class BlockSums {
 public:
  // f(begin, end, sums) for every block of [0, n), in parallel if it pays; writes its `count` sums. Returns their totals.
  // All memory is had first: std::bad_alloc means that f was never called.
  // `streams` is how many vectors of doubles cross the bus, which is what such a pass takes its time for.
  template <class F>
  const double* run(std::int64_t n, int count, double streams, F&& f) {
    const std::int64_t blocks = sum_blocks(n);
    const auto width = static_cast<std::size_t>(count);
    if (sums_.size() < width * static_cast<std::size_t>(blocks)) sums_.resize(width * static_cast<std::size_t>(blocks));
    const auto one = [&](std::int64_t block) {
      const DefaultEnvironment environment;
      f(block * sum_block, std::min(n, (block + 1) * sum_block), sums_.data() + static_cast<std::size_t>(block) * width);
    };
    if (blocks == 1) {
      one(0);
    } else {
      const double serial_ns = static_cast<double>(n) * 8 * streams * ns_per_byte;
      threads::try_each(blocks, serial_ns, threads::size(), [&](std::int64_t block, int) { one(block); });
      const DefaultEnvironment environment;
      for (std::int64_t block = 1; block < blocks; ++block)
        for (std::size_t i = 0; i < width; ++i) sums_[i] += sums_[static_cast<std::size_t>(block) * width + i];
    }
    return sums_.data();
  }
  const double* totals() const { return sums_.data(); }  // of the last run

 private:
  static constexpr double ns_per_byte = 0.08;  // of one thread, from memory; a first guess is all that is needed
  std::vector<double> sums_;
};

}  // namespace fastopt::vectors
