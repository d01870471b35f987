// Passes over the elements of an array, in blocks that a team shares out; sums are the blocks' in order.
#pragma once
#include <algorithm>
#include <cstdint>

#include "engine/lanes.hpp"
#include "linalg/team.hpp"
#include "rules/rule.hpp"

namespace fastopt::matrix {

inline std::int64_t blocks_of(std::int64_t size) { return (size + engine::sum_block - 1) / engine::sum_block; }

// f(block, begin, end)
template <class T, class F>
void for_blocks(const linalg::Team<T>& team, std::int64_t size, F&& f) {
  constexpr double ns_of_element = 0.5;
  team.split(blocks_of(size), 1, ns_of_element * static_cast<double>(size),
             [&](std::int64_t first, std::int64_t last, linalg::Packs<T>&) {
               for (std::int64_t block = first; block < last; ++block)
                 f(block, block * engine::sum_block, std::min((block + 1) * engine::sum_block, size));
             });
}

// work: as many numbers as there are blocks.
template <class T>
T largest(const linalg::Team<T>& team, const T* x, std::int64_t size, double* work) {
  for_blocks(team, size, [&](std::int64_t block, std::int64_t begin, std::int64_t end) {
    work[block] = double(engine::largest(x + begin, end - begin));
  });
  return static_cast<T>(engine::largest(work, blocks_of(size)));
}

// sums: as many as there are blocks.
template <class T>
double sum_of_squares(const linalg::Team<T>& team, const T* x, std::int64_t size, double* sums) {
  for_blocks(team, size, [&](std::int64_t block, std::int64_t begin, std::int64_t end) {
    engine::Lanes lanes;
    lanes.add_squares(x + begin, end - begin);
    sums[block] = lanes.total();
  });
  double sum = 0;
  for (std::int64_t block = 0; block < blocks_of(size); ++block) sum += sums[block];
  return sum;
}

template <class T>
void copy(const linalg::Team<T>& team, const T* from, std::int64_t size, T* to) {
  for_blocks(team, size,
             [&](std::int64_t, std::int64_t begin, std::int64_t end) { std::copy(from + begin, from + end, to + begin); });
}

template <class T>
void scale(const linalg::Team<T>& team, T by, std::int64_t size, T* x) {
  for_blocks(team, size, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) x[i] *= by;
  });
}

template <class T>
rules::Average<T> average_in(double beta) {
  const rules::Average<double> a = rules::average(beta);
  return {static_cast<T>(a.rest), static_cast<T>(a.keep), static_cast<T>(a.near)};
}

}  // namespace fastopt::matrix
