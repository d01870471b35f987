// Between the two passes of a rule of matrices: what the layer above, cpp/matrix/, does to whole matrices. The engine knows
// only what is here; the transforms are found by the rule's name, so that it includes neither them nor linear algebra.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "rules/rule.hpp"

namespace fastopt::engine {

inline constexpr int max_shaped = 6;

struct Gradient;
struct Tensor;
template <class T>
struct Constants;

// How the elements of a tensor form matrices, `count` of rows x columns in C order, one behind the other. A tensor of less
// than two axes is a row.
struct MatrixView {
  std::int64_t count = 1, rows = 0, columns = 0;
  std::vector<std::int64_t> sides;  // the tensor's axes
  // Where the tensor's elements, in its order of memory, lie among those: axes, outermost first, and strides in bytes of the
  // type of computation.
  std::vector<std::int64_t> shape, strides;
  std::int64_t offset = 0;  // bytes to the first of the tensor's elements
  bool dense = true;        // in the same order

  std::int64_t size_of(rules::Shape shape_of_state) const {
    switch (shape_of_state) {
      case rules::Shape::rows: return count * rows;
      case rules::Shape::columns: return count * columns;
      case rules::Shape::square_of_rows: return count * rows * rows;
      case rules::Shape::square_of_columns: return count * columns * columns;
      default: return count * rows * columns;
    }
  }
};

// The matrices of one tensor in a step.
struct MatrixTask {
  const MatrixView* view;
  bool wide;              // numbers are double, else float
  void* x;                // what the first pass wrote; what the last pass shall apply takes its place. Null: streamed
  void* const* shaped;    // the rule's shaped states, null where the flags do not use them; zeros at the first step
  const double* hypers;   // of the group, in the rule's order
  std::int64_t t;         // 1 at the first step
  const Tensor* tensor;   // theta is still as it was before the step
  const double* scalars;  // as they were before the step
  std::uint64_t random;   // of seed and step
  // Of the step under way, for who streams; the constants in the type of computation, the other null.
  const Gradient* gradient = nullptr;
  const Constants<float>* f32 = nullptr;
  const Constants<double>* f64 = nullptr;
  bool zero_gradients = false;
};

// Memory of a transform, kept from step to step.
class TransformRoom {
 public:
  TransformRoom() = default;
  TransformRoom(const TransformRoom&) = delete;
  TransformRoom& operator=(const TransformRoom&) = delete;
  virtual ~TransformRoom() = default;
};

struct Transform {
  // Has the memory for these tasks, before anything of a step is written (x and shaped are not yet to be read); `room` is
  // null or what an earlier call made, `threads` how many there may be, the same for all tasks of a step.
  void (*reserve)(std::span<const MatrixTask> tasks, int threads, std::unique_ptr<TransformRoom>& room) = nullptr;
  // Uses as many threads as it likes, and gives the same bits with any number.
  void (*run)(std::span<const MatrixTask> tasks, TransformRoom& room) noexcept = nullptr;
  // Numbers in a state of the rule's own shape, < 0 where a tensor has none.
  std::int64_t (*state_size)(std::size_t state, const MatrixView& view, const double* hypers) = nullptr;
  // Of tensors that lie as their matrices do it reads the gradients itself, as often as it likes, and takes the step: there
  // are no passes before and after it, and no memory for the matrices.
  bool streams = false;
  explicit operator bool() const { return run != nullptr; }
};

// Defined in cpp/matrix/: of the rule of that name with these flags.
Transform find_transform(std::string_view rule, unsigned flags);

}  // namespace fastopt::engine
