#include "bindings/in_use.hpp"

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

}  // namespace

std::uint64_t this_thread() noexcept {
  thread_local const std::uint32_t number = (threads_seen.fetch_add(1, std::memory_order_relaxed) + 1) & 0x7fffffff;
  return std::uint64_t{generation.load(std::memory_order_relaxed)} << 32 | number;
}

InUse::Lock InUse::take(Kind kind) {
  const std::uint64_t mine = this_thread() | kind;
  std::uint64_t seen = 0;
  // acquire: what the last owner wrote is seen
  if (word_.compare_exchange_strong(seen, mine, std::memory_order_acquire)) return {this, mine};
  if (!of_this_process(seen) && word_.compare_exchange_strong(seen, mine, std::memory_order_acquire)) return {this, mine};
  throw std::runtime_error(refusal_);
}

InUse::Lock InUse::within() {
  const bool inside = word_.load(std::memory_order_relaxed) == (this_thread() | open);
  return inside ? Lock() : call();
}

FASTOPT_BINDINGS_END
