// Products by a team. However C is divided, its entries are summed in the same order (linalg::Part::packed), so that the
// bits do not depend on the number of threads. Matrices are stored by columns; a row-major one is its transpose.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "linalg/product.hpp"
#include "linalg/team.hpp"
#include "matrix/each_matrix.hpp"

namespace fastopt::matrix {

using linalg::Part;
using linalg::Team;
using linalg::View;

template <class T>
View<T> transposed(View<T> a) {
  return {a.data, a.col, a.row};
}

// Two for each member, so that one that begins late does not keep the others waiting; each packs an operand anew.
template <class T>
std::int64_t ranges_of(const Team<T>& team) {
  return team.size() == 1 ? 1 : 2 * team.size();
}

// f(begin, end, packs) for ranges that cover [0, count).
template <class T, class F>
void in_ranges(const Team<T>& team, std::int64_t count, std::int64_t grain, double flops, F&& f) {
  const std::int64_t ranges = ranges_of(team);
  const std::int64_t share = linalg::round_up((count + ranges - 1) / ranges, grain);
  team.each((count + share - 1) / share, ns_per_flop * flops,
            [&](std::int64_t i, linalg::Packs<T>& packs) { f(i * share, std::min(count, (i + 1) * share), packs); });
}

// C (m x n, columns ldc apart) = alpha A (m x k) B (k x n), or C += that.
template <class T>
void multiply(const Team<T>& team, std::int64_t m, std::int64_t n, std::int64_t k, T alpha, View<T> a, View<T> b, T* c,
              std::int64_t ldc, bool set = true) {
  const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  if (m >= n)
    in_ranges(team, m, 48, flops, [&](std::int64_t i, std::int64_t end, linalg::Packs<T>& packs) {
      product(end - i, n, k, alpha, View<T>{a.data + i * a.row, a.row, a.col}, b, c + i, ldc, set, Part::packed, packs);
    });
  else
    in_ranges(team, n, 8, flops, [&](std::int64_t j, std::int64_t end, linalg::Packs<T>& packs) {
      product(m, end - j, k, alpha, a, View<T>{b.data + j * b.col, b.row, b.col}, c + j * ldc, ldc, set, Part::packed,
              packs);
    });
}

// to = from', 16 x 16: by way of memory of its own, so that both sides are walked along their columns.
template <class T>
void transpose_block(const T* from, T* to, std::int64_t ld) {
  constexpr int block = 16;
  T tile[block][block];
  for (int j = 0; j < block; ++j)
    for (int i = 0; i < block; ++i) tile[i][j] = from[j * ld + i];
  for (int i = 0; i < block; ++i)
    for (int j = 0; j < block; ++j) to[i * ld + j] = tile[i][j];
}

// The upper triangle of C (n x n) from the lower.
template <class T>
void mirror(const Team<T>& team, std::int64_t n, T* c, std::int64_t ldc) {
  constexpr std::int64_t block = 16;
  team.split(n, block, static_cast<double>(n) * static_cast<double>(n),
             [&](std::int64_t begin, std::int64_t end, linalg::Packs<T>&) {
               for (std::int64_t j0 = begin; j0 < end; j0 += block) {
                 const std::int64_t j1 = std::min(end, j0 + block);
                 for (std::int64_t j = j0; j < j1; ++j)
                   for (std::int64_t i = j + 1; i < std::min(n, j0 + block); ++i) c[i * ldc + j] = c[j * ldc + i];
                 for (std::int64_t i0 = j0 + block; i0 < n; i0 += block) {
                   if (j1 - j0 == block && i0 + block <= n) {
                     transpose_block(c + j0 * ldc + i0, c + i0 * ldc + j0, ldc);
                     continue;
                   }
                   for (std::int64_t j = j0; j < j1; ++j)
                     for (std::int64_t i = i0; i < std::min(n, i0 + block); ++i) c[i * ldc + j] = c[j * ldc + i];
                 }
               }
             });
}

// The same of n x n matrices where C and the product are symmetric: half of the work. Columns are divided so that each range
// has as much of the triangle as the others.
template <class T>
void multiply_symmetric(const Team<T>& team, std::int64_t n, std::int64_t k, T alpha, View<T> a, View<T> b, T* c,
                        std::int64_t ldc, bool set = true) {
  constexpr std::int64_t grain = 8;
  const double flops = static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(k);
  const std::int64_t ranges = ranges_of(team);
  const auto begins = [&](std::int64_t range) {
    const double right = 1 - static_cast<double>(range) / static_cast<double>(ranges);
    return range == ranges ? n : static_cast<std::int64_t>(static_cast<double>(n) * (1 - std::sqrt(right))) / grain * grain;
  };
  team.each(ranges, ns_per_flop * flops, [&](std::int64_t range, linalg::Packs<T>& packs) {
    const std::int64_t j = begins(range), end = begins(range + 1);
    product(n - j, end - j, k, alpha, View<T>{a.data + j * a.row, a.row, a.col}, View<T>{b.data + j * b.col, b.row, b.col},
            c + j * ldc + j, ldc, set, Part::lower, packs);
  });
  mirror(team, n, c, ldc);
}

}  // namespace fastopt::matrix
