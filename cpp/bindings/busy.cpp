#include "bindings/busy.hpp"

#include <stdexcept>

#ifndef _WIN32
#include <pthread.h>
#endif

FASTOPT_BINDINGS_BEGIN

namespace {

std::atomic<std::uint32_t> generation{1};
std::atomic<std::uint32_t> threads_seen{0};

#ifndef _WIN32
// Registered when the module is loaded, which is never unloaded (CMakeLists.txt: nodelete).
[[maybe_unused]] const int registered =
    pthread_atfork(nullptr, nullptr, [] { generation.fetch_add(1, std::memory_order_relaxed); });
#endif

constexpr const char* in_use =
    "this optimizer is in use: step() or another call on it has not returned yet (in another thread, or around this one)";

}  // namespace

std::uint64_t this_thread() noexcept {
  thread_local const std::uint32_t number = (threads_seen.fetch_add(1, std::memory_order_relaxed) + 1) & 0x7fffffff;
  return std::uint64_t{generation.load(std::memory_order_relaxed)} << 32 | number;
}

std::uint64_t Busy::take(Kind kind) noexcept {
  const std::uint64_t mine = this_thread() | kind;
  std::uint64_t seen = 0;
  // acquire: what the last owner wrote is seen
  if (word_.compare_exchange_strong(seen, mine, std::memory_order_acquire)) return mine;
  if (of_this_process(seen)) return 0;
  return word_.compare_exchange_strong(seen, mine, std::memory_order_acquire) ? mine : 0;
}

bool Busy::open_to_this_thread() const noexcept { return word_.load(std::memory_order_relaxed) == (this_thread() | open); }

Busy::Lock::Lock(Busy& busy, const char* what) : busy_(&busy), word_(busy.take(closed)) {
  if (word_ == 0) throw std::runtime_error(what != nullptr ? what : in_use);
}

Busy::Lock Busy::Lock::within(Busy& busy) { return busy.open_to_this_thread() ? Lock() : Lock(busy); }

void Exclusive::enter() {
  const std::uint64_t word = word_ == 0 ? busy_.take(Busy::open) : 0;
  if (word == 0) throw std::runtime_error(what_ != nullptr ? what_ : in_use);
  word_ = word;
}

FASTOPT_BINDINGS_END
