// The thread pool. A region is a number of chunks; every chunk is run exactly once, by the caller or by a worker.
//
// What makes it different from a fork-join runtime (docs/design/threads.md has the argument and the measurements):
//  - the caller works too and waits only for workers that have begun, so one that gets no processor costs nothing;
//  - each participant claims first from its own contiguous range, so its caches meet the same memory at the next region;
//  - a region gets as many workers as its work is worth (policy.hpp); they spin for a moment after work, then sleep;
//  - a region that finds the pool taken (another thread, or a region inside a region) runs on its caller alone;
//  - fork() waits for running regions and ends the workers; both sides start new ones when they need them.
#pragma once
#include <cstdint>
#include <limits>
#include <type_traits>

#include "threads/policy.hpp"

namespace fastopt::threads {

inline constexpr int max_threads = 256;

// Runs chunk `chunk`; `participant` in [0, widest) tells those of one region apart (private buffers). Must not throw.
using Body = void (*)(void* context, std::int64_t chunk, int participant);

// Threads that a region may use, the caller included; at least 1. Workers beyond a lower number sleep.
int size() noexcept;
void set_size(int threads) noexcept;

// Runs body for every chunk in [0, chunks), by at most `widest` participants: whoever has buffers for each says here how
// many there are, since set_size may be called meanwhile. `work_ns` is the caller's estimate of the whole work on one
// thread. Returns what it took, added over the participants, or 0 if it was too short to be measured.
double run(std::int64_t chunks, double work_ns, int widest, void* context, Body body) noexcept;

template <class F>
double for_each(std::int64_t chunks, double work_ns, int widest, F&& f) {
  using Function = std::remove_reference_t<F>;
  return run(
      chunks, work_ns, widest, const_cast<void*>(static_cast<const void*>(&f)),
      [](void* context, std::int64_t chunk, int participant) { (*static_cast<Function*>(context))(chunk, participant); });
}

// For bodies that do not ask who runs them.
template <class F>
double for_each(std::int64_t chunks, double work_ns, F&& f) {
  return for_each(chunks, work_ns, max_threads, f);
}

// While one lives, a step is running: fork() waits for it. Never held while waiting for the GIL.
class Running {
 public:
  Running() noexcept;
  ~Running();
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
};

// What the pool has met so far, for benchmarks and tests.
struct Statistics {
  std::int64_t parallel = 0;    // regions run with workers
  std::int64_t serial = 0;      // regions run by their caller alone
  std::int64_t stragglers = 0;  // regions whose caller waited long for a claimed chunk
  double wake_ns = 0;           // what waking a sleeping worker takes, until it begins
  int workers = 0;              // threads there are, besides the callers
  int width = 0;                // participants that the last region with workers was meant for
};
Statistics statistics() noexcept;

// Shares every region that has two chunks as widely as it can be, whatever it costs: for tests of what several threads do.
void set_eager(bool eager) noexcept;

// For tests of how the pool recovers: as if waking a worker had taken this long, several times in a row.
void pretend_wake(double ns) noexcept;

}  // namespace fastopt::threads
