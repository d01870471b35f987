// Tensors of rules of matrices that go through the passes of a step together (plan_matrices.cpp).
#pragma once
#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <vector>

#include "engine/constants.hpp"
#include "engine/cut.hpp"

namespace fastopt::engine {

struct Wave {
  // A tensor's constants where they are not those of its cohort.
  struct Own {
    std::optional<Constants<float>> f32;
    std::optional<Constants<double>> f64;
  };
  std::vector<Item> items;         // of size 0 where the transform streams
  std::vector<MatrixTask> tasks;   // one for each
  std::vector<Gradient> matrices;  // where each lies, as its tensor's elements meet it
  std::vector<Own> own;
  Cut parts{chunk_elements};
  std::size_t bytes = 0;
};

// Memory of one wave's matrices, each on a cache line of its own.
class MatrixMemory {
 public:
  static constexpr std::size_t line = 64;
  // What it held is lost.
  void grow(std::size_t bytes) {
    if (bytes <= bytes_) return;
    bytes_ = 0;
    data_.reset();
    data_.reset(static_cast<char*>(::operator new(bytes, std::align_val_t(line))));
    bytes_ = bytes;
  }
  char* get() const { return data_.get(); }

 private:
  struct Free {
    void operator()(char* p) const { ::operator delete(p, std::align_val_t(line)); }
  };
  std::unique_ptr<char, Free> data_;
  std::size_t bytes_ = 0;
};

}  // namespace fastopt::engine
