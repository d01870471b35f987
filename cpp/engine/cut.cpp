#include "engine/cut.hpp"

#include <algorithm>

namespace fastopt::engine {

void Cut::make(std::span<const Item> given) {
  const auto same = [](const Item& a, const Item& b) {
    return a.tensor == b.tensor && a.size == b.size && a.lead == b.lead;
  };
  if (whole && threads == threads::size() && std::equal(items.begin(), items.end(), given.begin(), given.end(), same))
    return;
  whole = false;
  threads = threads::size();
  items.assign(given.begin(), given.end());
  pieces.clear();
  chunks.assign(1, 0);
  elements = 0;
  for (const Item& item : items) elements += item.size;
  const std::int64_t chunk = chunk_of(elements, threads);
  std::int64_t filled = 0;
  for (int i = 0; i < static_cast<int>(items.size()); ++i) {
    const std::int64_t n = at(items, i).size, whole = heeds_whole ? std::max<std::int64_t>(at(items, i).whole, 1) : 1;
    const std::int64_t most = std::max(std::min(length, chunk) / whole, std::int64_t{1}) * whole;
    for (std::int64_t begin = 0, end = most + (heeds_whole ? at(items, i).lead : 0); begin < n; begin = end, end += most) {
      pieces.push_back({i, begin, std::min(end, n)});
      filled += pieces.back().end - begin;
      if (filled >= chunk) {
        chunks.push_back(static_cast<int>(pieces.size()));
        filled = 0;
      }
    }
  }
  if (filled > 0) chunks.push_back(static_cast<int>(pieces.size()));
  whole = true;
}

}  // namespace fastopt::engine
