// Who is using a plan. Nobody waits: who finds it in use raises RuntimeError and has touched nothing.
//
// The word names a thread of a process. fork() copies the word but not the thread that would have given it back, so a word
// from before the fork counts as free in the child (what a step writes is never half done then: threads::Running).
#pragma once
#include <atomic>
#include <cstdint>

#include "bindings/level.hpp"

FASTOPT_BINDINGS_BEGIN

class Busy {
 public:
  // `closed`: nobody gets in, its owner included. `open`: what the owner calls on the plan meanwhile is part of its one
  // operation and gets in (Lock::within).
  enum Kind : std::uint64_t { closed = 0, open = std::uint64_t{1} << 31 };

  std::uint64_t take(Kind kind) noexcept;  // 0 if it is in use
  void give(std::uint64_t word) noexcept { word_.compare_exchange_strong(word, 0, std::memory_order_release); }
  bool open_to_this_thread() const noexcept;

  class Lock {
   public:
    explicit Lock(Busy& busy, const char* what = nullptr);  // `what`: the text of the error
    static Lock within(Busy& busy);                         // ... unless this thread's operation is open
    ~Lock() { release(); }
    void release() noexcept {
      if (word_ != 0) busy_->give(word_);
      word_ = 0;
    }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

   private:
    Lock() = default;
    Busy* busy_ = nullptr;
    std::uint64_t word_ = 0;
  };

 private:
  std::atomic<std::uint64_t> word_{0};  // generation of the process, kind, number of the thread; 0: free
};

// What tells a thread from all others, and this process from the one it was forked from.
std::uint64_t this_thread() noexcept;
inline bool of_this_process(std::uint64_t thread) noexcept { return thread >> 32 == this_thread() >> 32; }
inline bool same_thread(std::uint64_t a, std::uint64_t b) noexcept {  // also across a fork, which keeps the forking one
  return (a & 0x7fffffff) == (b & 0x7fffffff);
}

// `with` for one of the words: an operation of several calls. Entering is one native call, between which and the block no
// signal handler runs; should the block never be left (a profiler that raises), the end of this object gives it back.
class Exclusive {
 public:
  Exclusive(Busy& busy, const char* what) : busy_(busy), what_(what) {}
  ~Exclusive() { leave(); }
  void enter();
  void leave() noexcept {
    if (word_ != 0) busy_.give(word_);
    word_ = 0;
  }
  Exclusive(const Exclusive&) = delete;
  Exclusive& operator=(const Exclusive&) = delete;

 private:
  Busy& busy_;  // its plan is kept alive by Python
  const char* what_;
  std::uint64_t word_ = 0;
};

FASTOPT_BINDINGS_END
