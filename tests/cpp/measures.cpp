// What the pool's policy is told: when a worker came and left, and how measurements are kept (Recent, Rate, Probe).
// tests/test_pool.py builds and runs it.
#include <atomic>
#include <cstdio>
#include <thread>
#include <vector>

#include "threads/mechanism.hpp"
#include "threads/policy.hpp"
#include "threads/sync.hpp"

namespace threads = fastopt::threads;

namespace {

int wrong = 0;

void expect(const char* what, double got, double wanted) {
  if (got == wanted) return;
  std::printf("%s: expected %g, got %g\n", what, wanted, got);
  ++wrong;
}

// The value at rank 1 of 4 (0: the least) of the last four; of fewer, at the same share of them.
void recent() {
  threads::Recent<4, 1> r;
  expect("nothing measured", r.empty(), 1);
  expect("nothing measured, value", r.value(7), 7);
  const std::vector<double> given = {5, 9, 1, 3, 8, 8, 8, 8};
  const std::vector<double> wanted = {5, 5, 1, 3, 3, 3, 8, 8};
  for (std::size_t i = 0; i < given.size(); ++i) {
    r.add(given[i]);
    expect("measured", r.empty(), 0);
    expect("a low one of the last four", r.value(7), wanted[i]);
  }
}

void rate() {
  threads::Rate r(2);
  expect("the guess", r.estimate(10), 20);
  r.measured(0, 5);
  r.measured(5, 0);
  r.measured(-1, -5);
  expect("what is no measurement", r.estimate(10), 20);
  for (const double each : {3., 100., 4., 100., 5.}) r.measured(10, 10 * each);
  expect("the median of five", r.estimate(10), 50);
  for (int i = 0; i < 3; ++i) r.measured(1, 1);
  expect("the median moves on", r.estimate(10), 10);
}

// Soon at first, later seldom, and soon again where the world has changed.
void probe() {
  threads::Probe p;
  expect("due at once", p.due(0), 1);
  double now = 0;
  for (const double pause : {10e6, 20e6, 40e6, 80e6, 160e6, 320e6, 320e6}) {
    p.confirmed(now);
    expect("not yet", p.due(now + pause - 1), 0);
    expect("now", p.due(now + pause), 1);
    now += pause;
  }
  p.refuted(now);
  expect("soon, not yet", p.due(now + 5e6 - 1), 0);
  expect("soon", p.due(now + 5e6), 1);
  p.confirmed(now);
  expect("doubled from there, not yet", p.due(now + 10e6 - 1), 0);
  expect("doubled from there", p.due(now + 10e6), 1);
}

template <class Condition>
void wait_until(const char* what, Condition&& holds) {
  const std::int64_t end = threads::Sync::clock() + 20'000'000'000;
  while (!holds() && threads::Sync::clock() < end) std::this_thread::yield();
  expect(what, holds(), 1);
}

// One region with a worker that slept, one without a worker.
void times() {
  threads::Mechanism<threads::Sync, 2> m;
  std::thread worker([&] { m.serve(1); });
  wait_until("it falls asleep", [&] { return m.sleeping() == 1; });
  std::atomic<bool> came{false};
  const auto together = [](void* context, std::int64_t, int participant) {
    auto& here = *static_cast<std::atomic<bool>*>(context);
    if (participant != 0) here = true;
    wait_until("the worker comes", [&] { return here.load(); });
  };
  const std::int64_t before = threads::Sync::clock();
  m.publish(2, 2, true, &came, together);
  m.claim(0);
  m.finish();
  const std::int64_t after = threads::Sync::clock();
  expect("it slept", m.slept(1), 1);
  expect("it came after the publication", before <= m.entered(1), 1);
  expect("it left after it came", m.entered(1) <= m.left(1), 1);
  expect("it left before the region was over", m.left(1) <= after, 1);
  m.stop(1);
  worker.join();
  expect("nobody sleeps who has ended", m.sleeping(), 0);
  m.reset(1);
  m.publish(2, 2, false, nullptr, [](void*, std::int64_t, int) {});
  m.claim(0);
  m.finish();
  expect("it did not sleep", m.slept(1), 0);
  expect("it did not come", double(m.entered(1)), 0);
}

void question() {
  const threads::policy::Question q;
  for (const double known : {q.work_ns, double(q.chunks), double(q.awake), double(q.streak), q.wake_ns, double(q.paused)})
    expect("what is not told is nothing", known, 0);
  expect("alone, where nothing else is told", q.most, 1);
}

}  // namespace

int main() {
  recent();
  rate();
  probe();
  question();
  times();
  return wrong == 0 ? 0 : 1;
}
