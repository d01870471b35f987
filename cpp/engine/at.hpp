#pragma once
#include <cassert>
#include <cstdint>
#include <iterator>

namespace fastopt::engine {

// Tensors, groups and pieces are numbered with int; the containers' own index type is unsigned.
template <class Container>
auto& at(Container& container, std::int64_t i) {
  assert(i >= 0 && static_cast<std::size_t>(i) < std::size(container));
  return container[static_cast<std::size_t>(i)];
}

}  // namespace fastopt::engine
