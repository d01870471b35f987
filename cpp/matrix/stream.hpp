// The elements of a tensor for a transform that streams: its gradient as the rule meets it, and the step that is taken.
// Of a tensor whose elements do not lie as its matrices' do, both are in the memory of the passes before and after.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>

#include "engine/update.hpp"

namespace fastopt::matrix {

using engine::MatrixTask;

// Elements that are read and written at once. Of a walk's block a part: of four rows side by side as much stays in L1.
template <class T>
inline constexpr std::int64_t stretch = engine::block_size<T> / 2;

// Calls f(begin, count) for parts of [begin, end) within one stretch each.
template <class T, class F>
void for_each_stretch(std::int64_t begin, std::int64_t end, F&& f) {
  for (std::int64_t at = begin, next = 0; at < end; at = next) {
    next = std::min(end, (at / stretch<T> + 1) * stretch<T>);
    f(at, next - at);
  }
}

template <class T>
const engine::Constants<T>& constants_of(const MatrixTask& task) {
  if constexpr (sizeof(T) == 4)
    return *task.f32;
  else
    return *task.f64;
}

// One for each thread.
template <class T>
class Source {
 public:
  // Times a power of two.
  Source(const MatrixTask& task, T unit) : x_(static_cast<const T*>(task.x)), unit_(unit) {
    if (x_ == nullptr) walk_.emplace(*task.tensor, *task.gradient, constants_of<T>(task), false);
  }
  // Up to a stretch, where it lies or in `buffer`.
  const T* read(std::int64_t begin, std::int64_t n, T* buffer) {
    const T* const from = x_ != nullptr ? x_ + begin : walk_->gradient(begin, n);
    if (unit_ == T(1) && !(walk_ && walk_->owns_gradient())) {
      engine::ask_for_next(from, n);
      return from;
    }
    for (std::int64_t i = 0; i < n; ++i) buffer[i] = unit_ * from[i];
    return buffer;
  }

 private:
  const T* x_;
  T unit_;
  std::optional<engine::Walk<T>> walk_;
};

// One for each thread.
template <class T>
class Sink {
 public:
  explicit Sink(const MatrixTask& task) : task_(task) {
    if (task.x == nullptr) after_.emplace(constants_of<T>(task).after_transform());
    step_.dtype = engine::dtype_of<T>;
    step_.dense = true;
  }
  bool streams() const { return task_.x == nullptr; }

  // Within one stretch, of which nothing is read afterwards.
  void write(std::int64_t begin, std::int64_t n, const T* step) {
    if (!streams()) {
      std::copy_n(step, n, static_cast<T*>(task_.x) + begin);
      return;
    }
    // A gradient is known by where its first element would be; only [begin, begin + n) is looked at.
    step_.data =
        reinterpret_cast<char*>(reinterpret_cast<std::uintptr_t>(step) - static_cast<std::uintptr_t>(begin) * sizeof(T));
    if (task_.tensor->in_place) engine::ask_for_next(task_.tensor->theta.template at<T>(begin), n);
    engine::update(*task_.tensor, step_, *after_, begin, begin + n, false);
    if (task_.zero_gradients) engine::zero_gradient(*task_.gradient, begin, n);
  }

 private:
  const MatrixTask& task_;
  std::optional<engine::Constants<T>> after_;
  engine::Gradient step_;
};

}  // namespace fastopt::matrix
