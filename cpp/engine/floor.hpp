// The floor: what moving a step's bytes costs, with one addition per element and nothing else. Benchmarks time it in pairs
// with the step, on the same buffers, threads and chunks (DESIGN section 5).
#pragma once
#include <cstdint>
#include <vector>

#include "threads/pool.hpp"

namespace fastopt::engine {

template <int changed>
inline void touch(float* const* arrays, const float* read, std::int64_t begin, std::int64_t end) {
  float* p[changed > 0 ? changed : 1] = {};
  for (int k = 0; k < changed; ++k) p[k] = arrays[k];
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC ivdep
#endif
  for (std::int64_t i = begin; i < end; ++i) {
    const float x = read[i];
    for (int k = 0; k < changed; ++k) p[k][i] += x;
  }
}

// Reads `read` and changes 1 to 5 other arrays of n floats.
inline void floor_step(const std::vector<float*>& changed, const float* read, std::int64_t n) {
  constexpr std::int64_t chunk = 1 << 14;
  const auto run = [&](auto body) {
    threads::for_each((n + chunk - 1) / chunk, static_cast<double>(n) * 28 / 48, [&](std::int64_t c, int) {
      const std::int64_t begin = c * chunk;
      body(changed.data(), read, begin, begin + chunk < n ? begin + chunk : n);
    });
  };
  switch (changed.size()) {
    case 1: return run(touch<1>);
    case 2: return run(touch<2>);
    case 3: return run(touch<3>);
    case 4: return run(touch<4>);
    case 5: return run(touch<5>);
    default: return;
  }
}

}  // namespace fastopt::engine
