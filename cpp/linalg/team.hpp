// Who works on a phase: the whole pool, or one thread inside a parallel region. Each participant owns packing buffers.
#pragma once
#include <cstdint>
#include <vector>

#include "linalg/product.hpp"
#include "threads/pool.hpp"

namespace fastopt::linalg {

template <class T>
class Team {
 public:
  explicit Team(std::int64_t threads) : packs_(std::size_t(threads)) {
    for (auto& p : packs_) pointers_.push_back(&p);
  }
  // One member alone: what it starts runs on its own thread.
  explicit Team(Packs<T>& alone) : pointers_{&alone} {}

  std::int64_t size() const { return std::int64_t(pointers_.size()); }
  Packs<T>& packs(int worker = 0) const { return *pointers_[std::size_t(worker)]; }

  // f(chunk, packs) for every chunk in [0, chunks).
  template <class F>
  void each(std::int64_t chunks, double serial_ns, F&& f) const {
    if (size() == 1 || chunks <= 1) {
      for (std::int64_t i = 0; i < chunks; ++i) f(i, packs());
      return;
    }
    threads::for_each(chunks, serial_ns, [&](std::int64_t chunk, int worker) { f(chunk, packs(worker)); });
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
