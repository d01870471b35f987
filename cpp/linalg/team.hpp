// Who works on a phase: the whole pool, or one thread inside a parallel region. Each participant owns packing buffers and
// scratch memory. Its size is fixed when it is made; what set_size() does to the pool meanwhile is no concern of its.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "linalg/product.hpp"
#include "threads/carry.hpp"

namespace fastopt::linalg {

template <class T>
class Team {
 public:
  explicit Team(int threads) : packs_(std::size_t(threads)) {
    for (auto& p : packs_) pointers_.push_back(&p);
  }
  // One member alone: what it starts runs on its own thread.
  explicit Team(Packs<T>& alone) : pointers_{&alone} {}
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  std::int64_t size() const { return std::int64_t(pointers_.size()); }
  Packs<T>& packs(int worker = 0) const { return *pointers_[std::size_t(worker)]; }

  // Memory for all members, had before a region rather than inside: packing buffers if products of m x n need them, and
  // `count` entries of scratch.
  void reserve_products(std::int64_t m, std::int64_t n, Part part) const {
    if (is_packed(m, n, part)) reserve_all();
  }
  // After this no product fails at all.
  void reserve_all() const {
    for (Packs<T>* p : pointers_) p->reserve();
  }
  void reserve_scratch(std::int64_t count) const {
    for (Packs<T>* p : pointers_) p->scratch.grow(count);
  }

  // f(chunk, packs) for every chunk in [0, chunks). f may throw: so does each() then, when all that have begun are done.
  template <class F>
  void each(std::int64_t chunks, double serial_ns, F&& f) const {
    if (size() == 1 || chunks <= 1) {
      for (std::int64_t i = 0; i < chunks; ++i) f(i, packs());
      return;
    }
    threads::try_each(chunks, serial_ns, int(size()), [&](std::int64_t chunk, int worker) { f(chunk, packs(worker)); });
  }

  // f(first, last, packs) for ranges that cover [0, count), each a multiple of `grain` but the last.
  template <class F>
  void split(std::int64_t count, std::int64_t grain, double serial_ns, F&& f) const {
    const std::int64_t share = round_up(count / (size() == 1 ? 1 : 4 * size()) + 1, grain);
    const std::int64_t chunks = (count + share - 1) / share;
    each(chunks, serial_ns,
         [&](std::int64_t chunk, Packs<T>& packs) { f(chunk * share, std::min(count, (chunk + 1) * share), packs); });
  }

 private:
  std::vector<Packs<T>> packs_;
  std::vector<Packs<T>*> pointers_;
};

}  // namespace fastopt::linalg
