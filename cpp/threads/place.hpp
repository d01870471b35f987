// Where the caller of a region runs, so that no worker runs on the same processor while others are idle.
//
// Linux may leave a worker where it fell asleep although the caller has moved there: seen on virtual machines, in every
// second process and for as long as a second. The worker then takes the processor from its caller three microseconds after
// it is woken, and a region on two threads takes as long as on one. A worker that finds itself there asks for any other
// processor, once, and for all that it may use again right afterwards: the first call moves it, the second lets the system
// move it wherever it likes later.
#pragma once
#include <atomic>
#include <cstdint>

#if defined(__linux__)
#include <sched.h>
#endif

namespace fastopt::threads {

class Place {
 public:
  // relaxed, all of it: an old number costs a look, or a move in vain.
  void note() noexcept { processor_.store(current(), std::memory_order_relaxed); }

  // A worker's own.
  class Stay {
   public:
    // Often the neighbours are as busy, and the system had its reasons: no more than once in a while.
    bool may_move(std::int64_t now) noexcept {
      if (now < next_) return false;
      next_ = now + pause_ns;
      return true;
    }

   private:
    static constexpr std::int64_t pause_ns = 1'000'000;
    std::int64_t next_ = 0;
  };

  // Of a worker that is about to enter.
  template <class Clock>
  void avoid([[maybe_unused]] Stay& stay, [[maybe_unused]] Clock&& clock) const noexcept {
#if defined(__linux__)
    const int here = current();
    if (here < 0 || here != processor_.load(std::memory_order_relaxed) || !stay.may_move(clock())) return;
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || here >= CPU_SETSIZE || CPU_COUNT(&allowed) < 2) return;
    cpu_set_t others = allowed;
    CPU_CLR(here, &others);
    if (sched_setaffinity(0, sizeof others, &others) == 0) sched_setaffinity(0, sizeof allowed, &allowed);
#endif
  }

 private:
  static int current() noexcept {
#if defined(__linux__)
    return sched_getcpu();
#else
    return -1;
#endif
  }

  std::atomic<int> processor_{-1};
};

}  // namespace fastopt::threads
