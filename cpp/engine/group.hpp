// What a plan is told of its groups and of itself, and what it tells of a step.
#pragma once
#include "engine/norm.hpp"
#include "engine/rows.hpp"

namespace fastopt::engine {

enum class WeightDecay : std::uint8_t { coupled, decoupled, in_rule };
enum class Nonfinite : std::uint8_t { propagate, skip, raise };

// Of one parameter group. `hypers` are the rule's, in its order.
struct Group {
  const Kernel* kernel = nullptr;
  double hypers[max_hypers] = {};
  double weight_decay = 0, l1 = 0, l1_proximal = 0;
  WeightDecay decay_kind = WeightDecay::coupled;
  bool maximize = false;
  double cautious = 0, cautious_weight_decay = 0, centralize = 0;  // 1: yes; they may change between steps
  bool averaged = false;           // the EMA of its tensors has begun: the first applied step copies
  int lr = 0;                      // index of "lr" in hypers
  double starts[max_states] = {};  // constant first values that the rule leaves to the user
  bool starts_set[max_states] = {};
  bool start_gradient_squared[max_states] = {};  // ... or the square of the first gradient
  double row_start = 0;                          // of what the rule keeps of a row
};

struct Options {
  double clip_value = 0, clip_norm = 0;  // 0: none
  NormType clip_norm_type = NormType::two;
  bool clip_norm_per_tensor = false;  // else over all tensors
  Nonfinite nonfinite = Nonfinite::propagate;
  double ema_decay = -1;   // < 0: none
  std::uint64_t seed = 0;  // of stochastic rounding
};

struct Outcome {
  enum Status { applied, skipped, nonfinite, overflow, no_row } status = applied;
  int tensor = -1;     // the first whose gradient is not finite, or (overflow) what the rule makes of it, or has no such row
  RowNotFinite row{};  // of a gradient of rows that is not finite
};

}  // namespace fastopt::engine
