// Who is using a plan. Nobody waits: who finds it in use raises RuntimeError and has touched nothing.
//
// The word names a thread of a process. fork() copies the word but not the thread that would have given it back, so a word
// from before the fork counts as free in the child (what a step writes is never half done then: threads::Running).
#pragma once
#include <atomic>
#include <cstdint>
#include <utility>

#include "bindings/level.hpp"

FASTOPT_BINDINGS_BEGIN

class InUse {
 public:
  // `refusal`: the text of the error. A literal.
  explicit InUse(const char* refusal) : refusal_(refusal) {}

  // The use of one owner. It ends with the object, or before.
  class Lock {
   public:
    Lock() = default;
    Lock(Lock&& other) noexcept : of_(other.of_), word_(std::exchange(other.word_, 0)) {}
    Lock& operator=(Lock&& other) noexcept {
      release();
      of_ = other.of_;
      word_ = std::exchange(other.word_, 0);
      return *this;
    }
    ~Lock() { release(); }
    void release() noexcept {
      if (word_ != 0) of_->word_.compare_exchange_strong(word_, 0, std::memory_order_release);
      word_ = 0;
    }

   private:
    friend InUse;
    Lock(InUse* of, std::uint64_t word) : of_(of), word_(word) {}
    InUse* of_ = nullptr;
    std::uint64_t word_ = 0;
  };

  Lock call() { return take(closed); }     // of one call: nobody else gets in, its own thread included
  Lock operation() { return take(open); }  // of several calls of this thread, which get in by `within`
  Lock within();                           // of one call, or nothing if it is a part of this thread's operation

 private:
  enum Kind : std::uint64_t { closed = 0, open = std::uint64_t{1} << 31 };
  Lock take(Kind kind);

  const char* refusal_;
  std::atomic<std::uint64_t> word_{0};  // generation of the process, kind, number of the thread; 0: free
};

// What tells a thread from all others, and this process from the one it was forked from.
std::uint64_t this_thread() noexcept;
inline bool of_this_process(std::uint64_t thread) noexcept { return thread >> 32 == this_thread() >> 32; }
inline bool same_thread(std::uint64_t a, std::uint64_t b) noexcept {  // also across a fork, which keeps the forking one
  return (a & 0x7fffffff) == (b & 0x7fffffff);
}

FASTOPT_BINDINGS_END
