// The floor: what moving a step's bytes costs, with one addition per element of each array and nothing else. Benchmarks
// time it in pairs with the step, on the same buffers, threads and chunks.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/cut.hpp"
#include "engine/prefetch.hpp"

namespace fastopt::benchmarks {

using engine::Prefetch;

inline constexpr int max_floor_changed = 5, max_floor_read = 3;

// Adds the sum of `read` to each of `changed`; without any to change, sums what it reads. Returns that sum.
template <int Changed, int Read>
float touch(float* const* changed, const float* const* read, std::int64_t begin, std::int64_t end) {
  float* p[std::max(Changed, 1)] = {};
  const float* q[Read];
  for (int k = 0; k < Changed; ++k) p[k] = changed[k];
  for (int k = 0; k < Read; ++k) q[k] = read[k];
  if constexpr (Changed > 0) {
    constexpr std::int64_t piece = Prefetch::piece / sizeof(float), ahead = Prefetch::ahead / sizeof(float);
    for (std::int64_t at = begin; at < end;) {
      const bool far = end - at >= piece + ahead;  // ask for memory as the rules' loops do
      const std::int64_t to = far ? at + piece : end;
      for (int k = 0; far && k < Read; ++k) Prefetch::ask_ahead(q[k] + at);
      for (int k = 0; far && k < Changed; ++k) Prefetch::ask_ahead(p[k] + at);
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC ivdep
#endif
      for (std::int64_t i = at; i < to; ++i) {
        float x = 0;
        for (int k = 0; k < Read; ++k) x += q[k][i];
        for (int k = 0; k < Changed; ++k) p[k][i] += x;
      }
      at = to;
    }
    return 0;
  } else {
    constexpr int lanes = 64;  // as many sums as keep the adders busy
    float sum[lanes] = {};
    for (std::int64_t i = begin; i + lanes <= end; i += lanes)
      for (int k = 0; k < Read; ++k)
        for (int j = 0; j < lanes; ++j) sum[j] += q[k][i + j];
    float total = 0;
    for (const float s : sum) total += s;
    return total;
  }
}

using Touch = float (*)(float* const*, const float* const*, std::int64_t, std::int64_t);

template <int... Index>
constexpr std::array<Touch, sizeof...(Index)> make_touches(std::integer_sequence<int, Index...>) {
  return {touch<Index / max_floor_read, Index % max_floor_read + 1>...};
}

// One pass over `read` and `changed`, arrays of n floats. The sum is returned so that reading cannot be left out.
inline float floor_pass(const std::vector<float*>& changed, const std::vector<const float*>& read, std::int64_t n) {
  static constexpr auto touches = make_touches(std::make_integer_sequence<int, (max_floor_changed + 1) * max_floor_read>{});
  const Touch body = touches[changed.size() * max_floor_read + read.size() - 1];
  const std::int64_t chunk = engine::chunk_of(n, threads::size()), chunks = (n + chunk - 1) / chunk;
  std::vector<float> sums(static_cast<std::size_t>(chunks));
  threads::for_each(chunks, static_cast<double>(n) * 28 / 64, [&](std::int64_t c, int) {
    const std::int64_t begin = c * chunk, end = std::min(begin + chunk, n);
    sums[static_cast<std::size_t>(c)] = body(changed.data(), read.data(), begin, end);
  });
  float total = 0;
  for (const float s : sums) total += s;
  return total;
}

}  // namespace fastopt::benchmarks
