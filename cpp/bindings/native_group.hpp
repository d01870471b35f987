// A group as Python knows it: for the engine two, where some of its parameters are another rule's.
#pragma once
#include <optional>

#include "bindings/level.hpp"
#include "engine/plan.hpp"

FASTOPT_BINDINGS_BEGIN

struct NativeGroup {
  int first, other;  // the engine's; other: or -1
  double lr_ratio;   // of the other's rate to the group's
  bool scheduled;
};

// What a group is, or is to become.
struct SavedGroup {
  engine::Group group;
  std::optional<engine::Group> other{};
  double lr_ratio = 1;
  bool scheduled = false;

  void share_lr() {
    if (other) other->hypers[other->lr] = group.hypers[group.lr] * lr_ratio;
  }
};

FASTOPT_BINDINGS_END
