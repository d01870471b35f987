#include "linalg/divide_conquer.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "linalg/merge.hpp"
#include "linalg/ql.hpp"

namespace fastopt::linalg {
namespace {

constexpr std::int64_t leaf = 24;  // QL up to this order

// Cuts [0, n) in halves until no part is larger than a leaf; the same depth everywhere, so that a level is a list of merges.
std::vector<std::int64_t> cuts(std::int64_t n) {
  std::vector<std::int64_t> at{0, n};
  while (*std::max_element(at.begin() + 1, at.end()) > 0 && n > leaf) {
    std::int64_t largest = 0;
    for (std::size_t i = 0; i + 1 < at.size(); ++i) largest = std::max(largest, at[i + 1] - at[i]);
    if (largest <= leaf) break;
    std::vector<std::int64_t> finer;
    for (std::size_t i = 0; i + 1 < at.size(); ++i) finer.insert(finer.end(), {at[i], (at[i] + at[i + 1]) / 2});
    finer.push_back(n);
    at.swap(finer);
  }
  return at;
}

// Couplings that the matrix does not feel become zeros, so that blocks of vanishing size are diagonal: QL would square them.
template <class T>
void drop_negligible(const T* d, T* e, std::int64_t n) {
  T norm = 0;
  for (std::int64_t i = 0; i < n; ++i) norm = std::max({norm, std::abs(d[i]), i + 1 < n ? std::abs(e[i]) : T(0)});
  constexpr T eps = std::numeric_limits<T>::epsilon();
  for (std::int64_t i = 0; i + 1 < n; ++i)
    if (std::abs(e[i]) <= eps * eps * norm) e[i] = T(0);
}

// Columns into ascending order, following the cycles with one column of memory.
template <class T>
void permute(T* d, std::int64_t n, T* q, std::int64_t ld, std::vector<std::int64_t>& order) {
  std::vector<T> kept(static_cast<std::size_t>(n));
  for (std::int64_t start = 0; start < n; ++start) {
    if (order[std::size_t(start)] == start) continue;
    std::copy_n(q + start * ld, n, kept.begin());
    const T value = d[start];
    std::int64_t to = start;
    for (std::int64_t from; (from = order[std::size_t(to)]) != start; to = from) {
      std::copy_n(q + from * ld, n, q + to * ld);
      d[to] = d[from];
      order[std::size_t(to)] = to;
    }
    std::copy(kept.begin(), kept.end(), q + to * ld);
    d[to] = value;
    order[std::size_t(to)] = to;
  }
}

}  // namespace

template <class T>
bool divide_conquer(T* d, T* e, std::int64_t n, T* q, std::int64_t ld, const Team<T>& team, Interrupt interrupt) {
  std::vector<std::int64_t> at = cuts(n), order(static_cast<std::size_t>(n));
  drop_negligible(d, e, n);
  for (std::int64_t j = 0; j < n; ++j) std::fill_n(q + j * ld, n, T(0));
  std::vector<T> torn(static_cast<std::size_t>(n));  // QL overwrites e
  for (std::size_t i = 1; i + 1 < at.size(); ++i) {
    const T size = std::abs(torn[std::size_t(at[i])] = e[at[i] - 1]);
    d[at[i] - 1] -= size;
    d[at[i]] -= size;
  }
  std::atomic<bool> converged{true};
  team.each(std::int64_t(at.size()) - 1, 30.0 * double(leaf) * double(leaf) * double(n), [&](std::int64_t i, Packs<T>&) {
    const std::int64_t first = at[std::size_t(i)], m = at[std::size_t(i) + 1] - first;
    T* block = q + first * ld + first;
    for (std::int64_t j = 0; j < m; ++j) block[j * ld + j] = T(1);
    if (!ql(d + first, e + first, m, block, m, ld)) converged = false;
    std::iota(order.begin() + first, order.begin() + first + m, std::int64_t(0));
  });
  if (!converged) return false;

  team.reserve_products(n, n, Part::all);
  team.reserve_scratch(n);
  Buffer<std::int64_t> indices(merge_indices * n);
  const std::int64_t whole = merge_workspace<T>(n);
  Buffer<T> workspace(at.size() > 2 ? whole + 64 * std::int64_t(at.size()) : 1);
  while (at.size() > 2) {
    poll(interrupt);
    const std::int64_t merges = std::int64_t(at.size() - 1) / 2;
    auto one = [&](std::int64_t i, const Team<T>& workers, T* memory) {
      const std::int64_t first = at[std::size_t(2 * i)], middle = at[std::size_t(2 * i + 1)],
                         last = at[std::size_t(2 * i + 2)];
      for (std::int64_t j = middle; j < last; ++j) order[std::size_t(j)] += middle - first;
      merge(Merge<T>{last - first, middle - first, d + first, order.data() + first, q + first * ld + first, ld,
                     torn[std::size_t(middle)], memory, indices.get() + merge_indices * first},
            workers);
    };
    if (team.size() > 1 && merges >= 2 * team.size()) {
      std::int64_t most = 0;
      for (std::int64_t i = 0; i < merges; ++i)
        most = std::max(most, round_up(merge_workspace<T>(at[std::size_t(2 * i + 2)] - at[std::size_t(2 * i)]), 16));
      Buffer<T> memory(merges * most);
      const double share = double(n) / double(merges);
      team.each(merges, 0.03 * share * share * double(n),
                [&](std::int64_t i, Packs<T>& packs) { one(i, Team<T>(packs), memory.get() + i * most); });
    } else {
      for (std::int64_t i = 0; i < merges; ++i) one(i, team, workspace.get());
    }
    std::vector<std::int64_t> coarser;
    for (std::size_t i = 0; i < at.size(); i += 2) coarser.push_back(at[i]);
    at.swap(coarser);
  }
  permute(d, n, q, ld, order);
  return true;
}

template bool divide_conquer(double*, double*, std::int64_t, double*, std::int64_t, const Team<double>&, Interrupt);
template bool divide_conquer(float*, float*, std::int64_t, float*, std::int64_t, const Team<float>&, Interrupt);

}  // namespace fastopt::linalg
