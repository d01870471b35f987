// Work on a plan that needs no Python.
#pragma once
#include <cstdint>
#include <optional>

#include "bindings/in_use.hpp"
#include "bindings/unlocked.hpp"
#include "threads/pool.hpp"

FASTOPT_BINDINGS_BEGIN

// Below this the work is over before another thread could have used the interpreter.
inline constexpr std::int64_t release_gil_from = 1 << 15;

// Neither the plan nor the pool is held while waiting for the GIL, also after an exception.
struct LeavePlan {
  InUse::Lock& lock;
  std::optional<threads::Running>& running;
  ~LeavePlan() {
    lock.release();
    running.reset();
  }
};

// Does the work, without the GIL if it is long, and gives the plan back.
template <class Work>
void without_gil(std::int64_t elements, InUse::Lock& lock, Work&& work) {
  if (elements < release_gil_from) {
    const threads::Running running;
    work();
    return;
  }
  // The work counts as running before the GIL is gone: whoever takes it may fork, and must not copy a plan in use.
  std::optional<threads::Running> running(std::in_place);
  const Unlocked unlocked;
  const LeavePlan leave{lock, running};
  work();
}

FASTOPT_BINDINGS_END
