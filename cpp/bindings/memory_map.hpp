// Where the parameters lie, to refuse arrays that overlap them.
#pragma once
#include <string>
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

FASTOPT_BINDINGS_END
