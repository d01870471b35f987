// An array of a saved state and where it goes, checked and ready to be written.
#pragma once
#include <cstring>

#include "bindings/bound_plan.hpp"

FASTOPT_BINDINGS_BEGIN

struct BoundPlan::Copy {
  PyObject* source;  // held by the caller
  Fingerprint seen;
  Layout from;
  engine::Dtype dtype;  // or of that size
  char* to;
  std::int64_t size;
  std::vector<char> staged;  // of a source that overlaps what is written
  bool flat = false;         // `size` bytes, staged

  std::size_t bytes() const { return static_cast<std::size_t>(size) * (flat ? 1 : engine::item_size(dtype)); }
  void gather(char* at) const noexcept {
    const engine::Gradient g = from.as(dtype);
    const std::size_t item = engine::item_size(dtype);
    if (g.dense) {
      std::memcpy(at, g.data, bytes());
      return;
    }
    engine::for_each_run(g, 0, size, [&](const char* p, std::int64_t count, std::int64_t stride) {
      for (; count > 0; --count, p += stride, at += item) std::memcpy(at, p, item);
    });
  }
  void write() const noexcept {
    if (size == 0) return;
    if (staged.empty())
      gather(to);
    else
      std::memcpy(to, staged.data(), bytes());
  }
};

FASTOPT_BINDINGS_END
