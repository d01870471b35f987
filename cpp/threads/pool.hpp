// The thread pool. A region is a number of chunks; every chunk is run exactly once, by the caller or by a worker.
//
// What makes it different from a fork-join runtime (measurements: DESIGN section 3.3 and docs/design/threads.md):
//  - the caller works too and, when nothing is left to claim, waits only for chunks that were claimed, so a worker
//    that gets no processor costs nothing;
//  - each participant claims first from its own contiguous range, so its caches meet the same memory at the next region;
//  - workers spin for a moment after work, then block; whether it pays to wake them is decided from what waking has cost;
//  - a region that finds the pool taken (another thread, or a region inside a region) runs on its caller alone;
//  - fork() waits for running regions and joins the workers; both sides start new ones when they need them.
#pragma once
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

namespace fastopt::threads {

// Runs chunk `chunk`; `worker` in [0, size()) tells the participants of one region apart (private buffers). Must not throw.
using Body = void (*)(void* context, std::int64_t chunk, int worker);

// Threads that a region may use, the caller included; at least 1.
int size() noexcept;
void set_size(int threads);

// Runs body for every chunk in [0, chunks). `serial_ns` is the caller's estimate of the whole work on one thread.
// `worker` stays below max_width whatever set_size() does meanwhile: so many private buffers are enough.
void run(std::int64_t chunks, double serial_ns, int max_width, void* context, Body body);

template <class F>
void for_each(std::int64_t chunks, double serial_ns, int max_width, F&& f) {
  using Function = std::remove_reference_t<F>;
  run(chunks, serial_ns, max_width, const_cast<void*>(static_cast<const void*>(&f)),
      [](void* context, std::int64_t chunk, int worker) { (*static_cast<Function*>(context))(chunk, worker); });
}
// For bodies that have no use for the worker's number.
template <class F>
void for_each(std::int64_t chunks, double serial_ns, F&& f) {
  for_each(chunks, serial_ns, std::numeric_limits<int>::max(), std::forward<F>(f));
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
  double wake_ns = 0;           // what waking a sleeping worker costs, until its first claim
};
Statistics statistics() noexcept;

// Shares every region that has two chunks, whatever it costs: for tests of what several threads do.
void set_eager(bool eager) noexcept;

}  // namespace fastopt::threads
