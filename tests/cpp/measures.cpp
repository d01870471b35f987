// What the pool's policy is told, and how it is kept: Recent, Rate, Probe. tests/test_pool.py builds and runs it.
#include <cstdio>
#include <vector>

#include "threads/policy.hpp"

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
  return wrong == 0 ? 0 : 1;
}
