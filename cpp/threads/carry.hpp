// Exceptions out of a region. A body must not throw: its frames may lie on a worker, whose exceptions nobody would catch.
// Here the first exception is kept, chunks that have not begun are skipped, and the caller throws it when the region is
// over.
#pragma once
#include <atomic>
#include <cstdint>
#include <exception>
#include <utility>

#include "threads/pool.hpp"

namespace fastopt::threads {

class Carrier {
 public:
  // f(), unless a call before has failed.
  template <class F>
  void call(F&& f) noexcept {
    if (failed_.load(std::memory_order_relaxed)) return;
    try {
      f();
    } catch (...) {
      // Whoever sets the flag writes `what_`; the end of the region orders that before rethrow().
      if (!failed_.exchange(true, std::memory_order_relaxed)) what_ = std::current_exception();
    }
  }

  // On the calling thread, after the region.
  void rethrow() {
    if (what_) std::rethrow_exception(std::move(what_));
  }

 private:
  std::atomic<bool> failed_{false};
  std::exception_ptr what_;
};

// for_each() for bodies that may throw. What they have written by then is written.
template <class F>
void try_each(std::int64_t chunks, double work_ns, int widest, F&& f) {
  Carrier carrier;
  for_each(chunks, work_ns, widest,
           [&](std::int64_t chunk, int participant) noexcept { carrier.call([&] { f(chunk, participant); }); });
  carrier.rethrow();
}

}  // namespace fastopt::threads
