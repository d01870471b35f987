// How many participants a region gets: a pure function of what is known, so that tests can ask it about any machine. What it
// is told comes from measurements, which are kept such that no single one decides (Recent) and none for ever (Probe).
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>

#include "threads/mechanism.hpp"

namespace fastopt::threads {

// The last few measurements of something, and a low one among them: half of them may be spoilt by a processor that was away.
template <int Count, int Rank>
class Recent {
 public:
  void add(double value) {
    values_[static_cast<std::size_t>(next_)] = value;
    next_ = (next_ + 1) % Count;
    filled_ = std::min(filled_ + 1, Count);
  }
  bool empty() const { return filled_ == 0; }
  // The value at `Rank` of `Count` in ascending order (of those there are); `otherwise` before the first.
  double value(double otherwise) const {
    if (filled_ == 0) return otherwise;
    auto sorted = values_;
    const auto end = sorted.begin() + filled_;
    const auto rank = sorted.begin() + Rank * (filled_ - 1) / (Count - 1);
    std::nth_element(sorted.begin(), rank, end);
    return *rank;
  }

 private:
  std::array<double, static_cast<std::size_t>(Count)> values_{};
  int next_ = 0, filled_ = 0;
};

// What work of one kind takes on one thread, per unit of it: a guess until it has been measured. Kept by whoever has such
// work: a plan for each of its passes.
class Rate {
 public:
  explicit Rate(double guess_ns) : guess_(guess_ns) {}
  double estimate(double units) const { return units * value_; }
  void measured(double units, double ns) {
    if (!(units > 0 && ns > 0)) return;
    recent_.add(ns / units);
    value_ = recent_.value(guess_);
  }

 private:
  double guess_, value_ = guess_;
  Recent<5, 2> recent_;  // the median
};

namespace policy {

inline constexpr double share_from_ns = 8e3;                  // shorter regions are done before another processor has begun
inline constexpr double hand_over_ns = 1.5e3, each_ns = 250;  // what workers that spin cost: at all, and each
inline constexpr double wake_call_ns = 3e3;                   // a system call that wakes one
inline constexpr double worth = 0.85;                         // a region must become this much shorter, or it stays alone
inline constexpr double lone_factor = 4;                      // a lone region must last so many times what waking takes
inline constexpr double always_ns = 5e5;                      // regions so long that a worker that comes late still helps
inline constexpr int hot_streak = 4;  // regions in close succession before sleeping workers are woken for small ones

struct Question {
  double work_ns = 0;  // of the whole region, on one thread
  std::int64_t chunks = 0;
  int most = 1;         // participants that there may be
  int awake = 0;        // workers that spin
  int streak = 0;       // regions before this one that each followed the one before within the time that workers spin
  double wake_ns = 0;   // what waking a worker takes, lately
  bool paused = false;  // the other processors have other work
};

// What the region would take with w participants. Workers that must be woken come late, those deeper in the tree later.
inline double duration(const Question& q, int w, bool hot) {
  const int cold = hot ? 0 : std::max(0, w - 1 - q.awake);
  double late = 0;
  for (int level = 1, wide = fan_out, left = cold; left > 0; ++level, left -= wide, wide *= fan_out)
    late += q.wake_ns * level * std::min(wide, left);
  return (q.work_ns + late) / w + hand_over_ns + each_ns * (w - 1) + wake_call_ns * std::min(cold, fan_out);
}

// Participants, the caller included; 1: alone.
inline int width(const Question& q) {
  const int most = static_cast<int>(std::min<std::int64_t>(q.most, q.chunks));
  if (most < 2 || q.work_ns < share_from_ns) return 1;
  if (q.paused && q.work_ns < always_ns) return 1;
  // In a loop of steps workers are woken once; a lone region must pay for it by itself.
  const bool hot = q.streak >= hot_streak;
  const bool lone_pays = q.work_ns >= std::min(always_ns, lone_factor * q.wake_ns);
  const int reach = hot || lone_pays ? most : std::min(most, q.awake + 1);
  int best = 1;
  double least = worth * q.work_ns;
  for (int w = 2; w <= reach; w = w == reach ? w + 1 : std::min(reach, w + std::max(1, w / 2))) {
    const double took = duration(q, w, hot);
    if (took < least) best = w, least = took;
  }
  return best;
}

}  // namespace policy

// When a decision against something was made from a measurement, the measurement is repeated from time to time: soon at
// first, later seldom, as long as it confirms the decision.
class Probe {
 public:
  bool due(double now_ns) const { return now_ns >= next_; }
  void confirmed(double now_ns) {
    pause_ = std::min(2 * pause_, longest_ns);
    next_ = now_ns + pause_;
  }
  void refuted(double now_ns) {
    pause_ = shortest_ns;
    next_ = now_ns + pause_;
  }

 private:
  static constexpr double shortest_ns = 5e6, longest_ns = 320e6;
  double pause_ = shortest_ns, next_ = 0;
};

}  // namespace fastopt::threads
