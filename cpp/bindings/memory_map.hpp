// Where arrays lie, to refuse those that overlap.
#pragma once
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "bindings/arrays.hpp"

FASTOPT_BINDINGS_BEGIN

class MemoryMap {
 public:
  // Adds dense memory; returns the number of what it overlaps, or -1.
  int add(Extent extent, int number);
  // The number of dense memory that elements of `gradient` overlap, or -1. Exact: a view may jump over a parameter.
  int overlapped(const engine::Gradient& gradient, Extent extent, std::int64_t size) const;

 private:
  struct Entry {
    Extent extent;
    int number;
  };
  int find(Extent extent) const;  // number, or -1
  std::vector<Entry> entries_;    // disjoint, in the order of addresses
};

// A gradient with elements, and a number to call it by.
struct Sized {
  const engine::Gradient* gradient;
  std::int64_t size;
  int number;
};

// Two gradients that share memory, or twice the same one if it meets itself. Exact: interleaved views are disjoint.
std::optional<std::pair<int, int>> find_overlap(std::span<const Sized> gradients);

FASTOPT_BINDINGS_END
