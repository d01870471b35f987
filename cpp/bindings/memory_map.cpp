#include "bindings/memory_map.hpp"

#include <algorithm>
#include <cstdlib>

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

namespace {

struct Numbered {
  Extent extent;
  int number;
};

Extent bounds(const engine::Gradient& g, std::int64_t size) {
  const auto item = static_cast<std::int64_t>(engine::item_size(g.dtype));
  if (g.dense) return {g.data, g.data + size * item};
  Extent e{g.data, g.data + item};
  for (int axis = 0; axis < g.axes; ++axis) {
    const std::int64_t reach = (g.shape[axis] - 1) * g.strides[axis];
    (reach < 0 ? e.first : e.last) += reach;
  }
  return e;
}

// True if every axis steps over all that the finer axes reach; then no two elements meet.
bool nested(const engine::Gradient& g) {
  if (g.dense) return true;
  std::vector<std::pair<std::int64_t, std::int64_t>> axes;  // stride, length
  for (int axis = 0; axis < g.axes; ++axis)
    if (g.shape[axis] > 1) axes.emplace_back(std::abs(g.strides[axis]), g.shape[axis]);
  std::sort(axes.begin(), axes.end());
  auto span = static_cast<std::int64_t>(engine::item_size(g.dtype));
  for (const auto& [stride, length] : axes) {
    if (stride < span) return false;
    span += (length - 1) * stride;
  }
  return true;
}

std::optional<std::pair<int, int>> overlap(std::vector<Numbered>& pieces) {
  std::sort(pieces.begin(), pieces.end(),
            [](const Numbered& a, const Numbered& b) { return a.extent.first < b.extent.first; });
  for (std::size_t i = 1; i < pieces.size(); ++i)
    if (pieces[i].extent.first < pieces[i - 1].extent.last) return std::minmax(pieces[i].number, pieces[i - 1].number);
  return {};
}

}  // namespace

std::optional<std::pair<int, int>> find_overlap(std::span<const Sized> gradients) {
  std::vector<Numbered> pieces;
  bool simple = true;
  for (const Sized& s : gradients) {
    pieces.push_back({bounds(*s.gradient, s.size), s.number});
    simple &= nested(*s.gradient);
  }
  if (simple && !overlap(pieces)) return {};
  pieces.clear();  // their bounds meet, but maybe none of their elements
  for (const Sized& s : gradients) {
    const auto item = static_cast<std::int64_t>(engine::item_size(s.gradient->dtype));
    if (s.gradient->dense) {
      pieces.push_back({bounds(*s.gradient, s.size), s.number});
      continue;
    }
    engine::for_each_run(*s.gradient, 0, s.size, [&](const char* at, std::int64_t count, std::int64_t stride) {
      if (stride == item) return pieces.push_back({{at, at + count * item}, s.number});
      for (std::int64_t k = 0; k < count; ++k) pieces.push_back({{at + k * stride, at + k * stride + item}, s.number});
    });
  }
  return overlap(pieces);
}

FASTOPT_BINDINGS_END
