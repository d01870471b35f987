// Counters of a plan as of the last call that has returned: readable at any time, from any thread.
#pragma once
#include <atomic>
#include <cstdint>

#include "bindings/level.hpp"

FASTOPT_BINDINGS_BEGIN

struct Published {
  std::atomic<std::int64_t> steps{0}, skipped{0};
  std::atomic<double> norm{-1};
};

FASTOPT_BINDINGS_END
