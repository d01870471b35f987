// The claims of fastopt's first pool, kept as a canary: position and number of the region in one word, the end in another.
// A worker that still looks through a finished region can read the old position with the new end, and then swap
// successfully. A checker that does not find this is not one.
#pragma once
#include <cstdint>

template <class Sync>
class OldPool {
 public:
  using Body = void (*)(void*, std::int64_t, int);

  void run(std::int64_t chunks, int width, void* context, Body body) {
    publish(chunks, width, context, body);
    work_on(epoch_.load(Sync::relaxed), 0);
    typename Sync::Patience patience;
    for (std::int64_t done; (done = done_.load(Sync::acquire)) < chunks;) patience.pause(done_, done);
  }
  void stop() { epoch_.store(-1, Sync::release); }
  void serve(int self) {
    for (std::int64_t seen = 0;;) {
      Sync::here(1, seen);
      typename Sync::Patience patience;
      std::int64_t epoch;
      while ((epoch = epoch_.load(Sync::acquire)) == seen) patience.pause(epoch_, seen);
      if (epoch < 0) return;
      seen = epoch;
      work_on(epoch, self);
    }
  }

 private:
  struct Range {
    typename Sync::Counter next{0}, end{0};
  };
  void publish(std::int64_t chunks, int width, void* context, Body body) {
    context_.store(reinterpret_cast<std::int64_t>(context), Sync::relaxed);
    body_ = body;
    width_.store(width, Sync::relaxed);
    done_.store(0, Sync::relaxed);
    const std::int64_t epoch = epoch_.load(Sync::relaxed) + 1;
    for (int p = 0; p < width; ++p) {
      ranges_[p].end.store(chunks * (p + 1) / width, Sync::relaxed);
      ranges_[p].next.store(epoch << 32 | chunks * p / width, Sync::release);
    }
    epoch_.store(epoch, Sync::release);
  }
  void work_on(std::int64_t epoch, int self) {
    const auto width = static_cast<int>(width_.load(Sync::relaxed));
    for (int i = 0; i < width; ++i) {
      Range& range = ranges_[(self + i) % width];
      Sync::here(2, i, width, epoch);
      std::int64_t next = range.next.load(Sync::acquire);
      while (next >> 32 == epoch && (next & 0xffffffff) < range.end.load(Sync::relaxed)) {
        void* const context = reinterpret_cast<void*>(context_.load(Sync::relaxed));
        if (!range.next.compare_exchange(next, next + 1, Sync::acq_rel)) continue;
        body_(context, next & 0xffffffff, self);
        done_.fetch_add(1, Sync::release);
        Sync::here(2, i, width, epoch);
        next = range.next.load(Sync::acquire);
      }
    }
  }
  typename Sync::Counter epoch_{0}, context_{0}, width_{1}, done_{0};
  Body body_ = nullptr;
  Range ranges_[3];
};
