// Transforms that treat every matrix by itself: how a step's matrices are shared out to the threads.
//
// A large matrix is worked on by all threads together, one after the other; small ones, and those of which there are many,
// are done by one thread each. Which is which must not show in the numbers: a transform gives the same bits with any team.
//
//   struct T {
//     static constexpr bool whole = true;                 // (if so) all matrices of a tensor count as one
//     static constexpr bool streams = true;               // (if so) as engine/transform.hpp has it; matrix/stream.hpp
//     static double flops(const MatrixTask&);             // of one of its matrices
//     static std::size_t scratch(const MatrixTask&);      // bytes that one of them needs
//     static bool wide(const MatrixTask&);                // does it compute in double although the task is not wide?
//     template <class Number>
//     static void run(const MatrixTask&, std::int64_t index, const Members&, Scratch) noexcept;
//   };
#pragma once
#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "engine/environment.hpp"
#include "engine/transform.hpp"
#include "linalg/team.hpp"
#include "linalg/workspace.hpp"
#include "threads/pool.hpp"

namespace fastopt::matrix {

using engine::MatrixTask;
using engine::MatrixView;

inline constexpr double ns_per_flop = 0.02;  // for the pool's first guess

// Who works on a matrix, in either type of computation.
struct Members {
  const linalg::Team<float>& f32;
  const linalg::Team<double>& f64;
  template <class T>
  const linalg::Team<T>& team() const {
    if constexpr (sizeof(T) == 4)
      return f32;
    else
      return f64;
  }
};

// Memory that is handed out from its beginning.
class Scratch {
 public:
  explicit Scratch(char* data) : next_(data) {}
  template <class T>
  T* take(std::int64_t count) {
    return reinterpret_cast<T*>(std::exchange(next_, next_ + bytes<T>(count)));
  }
  template <class T>
  static std::size_t bytes(std::int64_t count) {
    return static_cast<std::size_t>(linalg::round_up(count * static_cast<std::int64_t>(sizeof(T)), 64));
  }

 private:
  char* next_;
};

template <class Rule>
inline constexpr bool whole = requires { requires Rule::whole; };

class Crew final : public engine::TransformRoom {
 public:
  explicit Crew(int threads) : threads_(threads), f32_(threads), f64_(threads), scratch_(std::size_t(threads)) {
    for (int i = 0; i < threads; ++i) {
      alone_f32_.emplace_back(f32_.packs(i));
      alone_f64_.emplace_back(f64_.packs(i));
    }
  }
  int threads() const { return threads_; }
  Members all() const { return {f32_, f64_}; }
  Members one(int worker) const { return {alone_f32_[std::size_t(worker)], alone_f64_[std::size_t(worker)]}; }

  struct One {  // a matrix of a step
    const MatrixTask* task;
    std::int64_t index;
    double flops;
    bool shared;  // by all threads
  };
  std::vector<One> list;  // those for all threads first, then by their work

  template <class Rule>
  void write_list(std::span<const MatrixTask> tasks) {
    double total = 0;
    list.clear();
    for (const MatrixTask& task : tasks) {
      const double flops = Rule::flops(task);
      const std::int64_t count = whole<Rule> ? 1 : task.view->count;
      for (std::int64_t i = 0; i < count; ++i) list.push_back({&task, i, flops, false});
      total += flops * static_cast<double>(count);
    }
    for (One& one : list) one.shared = threads_ > 1 && one.flops > worth_sharing && one.flops > total / (4 * threads_);
    std::stable_sort(list.begin(), list.end(),
                     [](const One& a, const One& b) { return a.shared != b.shared ? a.shared : a.flops > b.flops; });
  }
  // Memory for the matrices of the list.
  template <class Rule>
  void grow() {
    std::size_t most = 0, most_alone = 0;
    bool narrow = false, wide = false;
    for (const One& one : list) {
      const std::size_t bytes = Rule::scratch(*one.task);
      most = std::max(most, bytes);
      if (!one.shared) most_alone = std::max(most_alone, bytes);
      narrow |= !one.task->wide;
      wide |= one.task->wide || Rule::wide(*one.task);
    }
    for (std::size_t i = 0; i < scratch_.size(); ++i)
      scratch_[i].grow(static_cast<std::int64_t>(i == 0 ? most : most_alone));
    if (narrow) f32_.reserve_all();
    if (wide) f64_.reserve_all();
  }
  Scratch scratch(int worker) const { return Scratch(scratch_[std::size_t(worker)].get()); }

 private:
  static constexpr double worth_sharing = 2e7;  // some 0.2 ms
  int threads_;
  linalg::Team<float> f32_;
  linalg::Team<double> f64_;
  std::deque<linalg::Team<float>> alone_f32_;
  std::deque<linalg::Team<double>> alone_f64_;
  std::vector<linalg::Buffer<char>> scratch_;
};

template <class Rule>
void reserve(std::span<const MatrixTask> tasks, int threads, std::unique_ptr<engine::TransformRoom>& room) {
  if (!room || static_cast<Crew&>(*room).threads() != threads) room = std::make_unique<Crew>(threads);
  auto& crew = static_cast<Crew&>(*room);
  crew.write_list<Rule>(tasks);
  crew.grow<Rule>();
}

template <class Rule>
void run_one(const Crew::One& one, const Members& members, const Scratch& scratch) noexcept {
  const engine::DefaultEnvironment environment;
  if (one.task->wide)
    Rule::template run<double>(*one.task, one.index, members, scratch);
  else
    Rule::template run<float>(*one.task, one.index, members, scratch);
}

template <class Rule>
void run(std::span<const MatrixTask> tasks, engine::TransformRoom& room) noexcept {
  auto& crew = static_cast<Crew&>(room);
  crew.write_list<Rule>(tasks);  // of this wave; there is memory for it
  std::size_t first = 0;
  for (; first < crew.list.size() && crew.list[first].shared; ++first)
    run_one<Rule>(crew.list[first], crew.all(), crew.scratch(0));
  double ns = 0;
  for (std::size_t i = first; i < crew.list.size(); ++i) ns += ns_per_flop * crew.list[i].flops;
  threads::for_each(static_cast<std::int64_t>(crew.list.size() - first), ns, crew.threads(),
                    [&](std::int64_t i, int worker) {
                      run_one<Rule>(crew.list[first + static_cast<std::size_t>(i)], crew.one(worker), crew.scratch(worker));
                    });
}

template <class Rule>
engine::Transform each_matrix() {
  engine::Transform transform{reserve<Rule>, run<Rule>};
  transform.streams = requires { requires Rule::streams; };
  if constexpr (requires { Rule::state_size(0, MatrixView(), nullptr); }) transform.state_size = Rule::state_size;
  return transform;
}

}  // namespace fastopt::matrix
