// Gradients less the mean of their row. Yong et al. 2020 (arXiv:2004.01461): the weights that lead to one output, which are
// a row along the first axis, keep their sum while training.
//
// The sum of a row is formed in double, in an order that depends on how the tensor lies in memory and nothing else: of each
// run of neighbours in 16 lanes, and of the runs one after the other. Rows are what threads divide among themselves.
#pragma once
#include <algorithm>

#include "engine/average.hpp"
#include "engine/gradient.hpp"
#include "engine/lanes.hpp"

namespace fastopt::engine {

// Adds the elements [begin, end) of the gradient, unscaled and clipped, to the sums of their rows; sums[0] is of `first`.
template <class T>
void add_to_rows(const Tensor& tensor, const Gradient& gradient, const Constants<T>& constants, std::int64_t begin,
                 std::int64_t end, std::int64_t first, double* sums) {
  alignas(64) T own[block_size<T>];
  for (std::int64_t at = begin; at < end; at += block_size<T>) {
    const std::int64_t n = std::min(block_size<T>, end - at);
    const Underway<T> clipped = clipped_gradient(gradient, constants, at, n, own);
    const T* const g = clipped.get();
    for_each_row_part(tensor, at, n, [&](std::int64_t row, std::int64_t from, std::int64_t count, bool one) {
      if (one)
        sums[row - first] += sum_of(g + from, count);
      else
        for (std::int64_t i = 0; i < count; ++i) sums[row - first + i] += static_cast<double>(g[from + i]);
    });
  }
}

// The means of rows [first, last).
template <class T>
void row_means(const Tensor& tensor, const Gradient& gradient, const Constants<T>& constants, std::int64_t first,
               std::int64_t last, double* means) {
  std::fill_n(means, last - first, 0.0);
  const std::int64_t all = tensor.rows * tensor.run, width = tensor.size / tensor.rows;
  for (std::int64_t at = 0; at < tensor.size; at += all)
    add_to_rows(tensor, gradient, constants, at + first * tensor.run, at + last * tensor.run, first, means);
  for (std::int64_t i = 0; i < last - first; ++i) means[i] /= static_cast<double>(width);
}

}  // namespace fastopt::engine
