#include "bindings/memory_map.hpp"

#include <algorithm>

FASTOPT_BINDINGS_BEGIN

int MemoryMap::find(Extent wanted) const {
  if (wanted.first == wanted.last) return -1;
  const auto next = std::lower_bound(entries_.begin(), entries_.end(), wanted,
                                     [](const Entry& entry, Extent e) { return entry.extent.last <= e.first; });
  return next != entries_.end() && next->extent.first < wanted.last ? next->number : -1;
}

int MemoryMap::add(Extent extent, int number) {
  if (extent.first == extent.last) return -1;
  if (const int other = find(extent); other >= 0) return other;
  const auto place = std::lower_bound(entries_.begin(), entries_.end(), extent,
                                      [](const Entry& entry, Extent e) { return entry.extent.first < e.first; });
  entries_.insert(place, {extent, number});
  return -1;
}

int MemoryMap::overlapped(const engine::Gradient& gradient, Extent extent, std::int64_t size) const {
  const int candidate = find(extent);
  if (candidate < 0 || gradient.dense) return candidate;
  int found = -1;
  const auto item = static_cast<std::int64_t>(engine::item_size(gradient.dtype));
  engine::for_each_run(gradient, 0, size, [&](const char* at, std::int64_t count, std::int64_t stride) {
    if (stride == item) {
      found = found < 0 ? find({at, at + count * item}) : found;
      return;
    }
    for (std::int64_t i = 0; i < count && found < 0; ++i) found = find({at + i * stride, at + i * stride + item});
  });
  return found;
}

FASTOPT_BINDINGS_END
