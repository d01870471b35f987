// The atomics of the mechanism as they are in the library: std::atomic, and the kernel's queue of sleeping threads.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

#include "threads/place.hpp"

namespace fastopt::threads {

struct Sync {
  static constexpr auto relaxed = std::memory_order_relaxed, acquire = std::memory_order_acquire,
                        release = std::memory_order_release;

  struct Word : std::atomic<std::uint32_t> {
    using std::atomic<std::uint32_t>::atomic;
    // As all of them here, for success; a failure orders nothing: who fails looks again.
    bool compare_exchange(std::uint32_t& seen, std::uint32_t wanted, std::memory_order order) {
      return compare_exchange_strong(seen, wanted, order, relaxed);
    }
  };
  using Counter = std::atomic<std::int64_t>;
  template <class T>
  using Plain = T;

  // A number that only helps to guess.
  class Hint {
   public:
    void add(int by) { value_.fetch_add(by, relaxed); }
    int get() const { return value_.load(relaxed); }

   private:
    alignas(64) std::atomic<int> value_{0};
  };

  using Place = threads::Place;

  // Sleeps while the word has this value; may return for no reason. The kernel compares with its queue locked, so a change
  // before the sleep is not missed, whoever changes it calls `wake` afterwards.
  static void wait(Word& word, std::uint32_t value) {
#if defined(__linux__)
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
#else
    word.wait(value, relaxed);
#endif
  }
  static void wake(Word& word) {
#if defined(__linux__)
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
#else
    word.notify_one();
#endif
  }

  static std::int64_t clock() { return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

  template <class... Locals>
  static void here(Locals...) {}

  static void relax() noexcept {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  // A worker after work: longer than the gap in a loop of steps.
  class Spin {
   public:
    bool again(const Word&, std::uint32_t) {
      for (int i = 0; i < 4; ++i) relax();
      const std::int64_t now = clock();
      if (until_ == 0) until_ = now + spin_ns;
      return now < until_;
    }

   private:
    static constexpr std::int64_t spin_ns = 50'000;
    std::int64_t until_ = 0;
  };

  // Whoever waits for others that are at work: not long, unless one lost its processor, and may need this very one.
  class Patience {
   public:
    void pause(const Word&, std::uint32_t) { ++turns_ < 2000 ? relax() : std::this_thread::yield(); }

   private:
    int turns_ = 0;
  };
};
static_assert(sizeof(Sync::Word) == 4, "a futex is four bytes");

}  // namespace fastopt::threads
