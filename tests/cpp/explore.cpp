// Every interleaving of the pool's mechanism for small cases: each chunk exactly once, none outside of its region, no race,
// no worker left asleep, at any order that the memory model allows. tests/test_pool.py builds and runs it.
#include <cstring>

#include "model.hpp"
#include "old_pool.hpp"
#include "threads/mechanism.hpp"

using model::checker;
using model::Plain;

namespace {

constexpr int most = 4;
using Mechanism = fastopt::threads::Mechanism<model::Sync, 3>;

// What a region works on: lives on its caller's stack, as in the library.
struct Region {
  explicit Region(int n) : chunks(n) {}
  int chunks;
  bool over = false;
  Plain<int> runs[most] = {0, 0, 0, 0};

  static void body(void* context, std::int64_t chunk, int) {
    auto& region = *static_cast<Region*>(context);
    checker().check(!region.over, "a chunk is run after its region has returned");
    checker().check(chunk < region.chunks, "a chunk that its region does not have is run");
    region.runs[chunk] = region.runs[chunk] + 1;
  }
  void done() {
    over = true;
    for (int c = 0; c < chunks; ++c) checker().check(runs[c] == 1, "a chunk was not run exactly once");
  }
};

// Starts workers when they are needed and ends them, as pool.cpp does.
struct Crew {
  Mechanism mechanism;
  int ids[3] = {}, workers = 0;
  void start(int wanted) {
    while (workers < wanted) {
      const int self = ++workers;
      mechanism.reset(self);
      ids[self] = checker().spawn([this, self] { mechanism.serve(self); });
    }
  }
  void stop() {
    mechanism.stop(workers);
    for (int p = 1; p <= workers; ++p) checker().join_thread(ids[p]);
    checker().check(mechanism.sleeping() == 0, "a worker that has ended is counted among those that sleep");
    workers = 0;
  }
  void run(Region& region, int width) {
    start(width - 1);
    mechanism.publish(region.chunks, width, checker().choose(2) != 0, &region, &Region::body);
    mechanism.claim(0);
    mechanism.finish();
    region.done();
  }
};

struct Shape {
  int chunks, width;
};

bool regions(const std::string& name, std::initializer_list<Shape> shapes) {
  const std::vector<Shape> list(shapes);
  return model::Checker::current()->explore(name, [&list] {
    Crew crew;
    Region all[] = {Region(list[0].chunks), Region(list[1 % list.size()].chunks), Region(list[2 % list.size()].chunks)};
    int part = 0;
    for (const Shape& s : list) {
      checker().part(part);
      crew.run(all[part++], s.width);
    }
    checker().part(part);
    crew.stop();
  });
}

// fork(): a gate that waits for whoever is inside, the pool's lock, workers that end and are started again.
bool forks(const std::string& name, bool second_region) {
  return model::Checker::current()->explore(name, [=] {
    struct Shared {
      Crew crew;
      fastopt::threads::Gate<model::Sync> gate;
      Plain<int> inside{0};
      Region regions[2] = {Region(2), Region(2)};
    } shared;
    const int stepping = checker().spawn([&shared, second_region] {
      for (int i = 0; i <= int(second_region); ++i) {
        checker().part(i);
        shared.gate.enter();
        shared.inside = shared.inside + 1;
        shared.crew.run(shared.regions[i], 2);
        shared.inside = shared.inside - 1;
        shared.gate.leave();
      }
    });
    shared.gate.close();
    checker().check(shared.inside == 0, "the process is copied while a step is under way");
    shared.crew.stop();
    shared.gate.open();
    checker().join_thread(stepping);
    shared.crew.stop();
  });
}

bool old_claims() {
  return model::Checker::current()->explore("canary: the claims of the first pool", [] {
    OldPool<model::Sync> pool;
    const int worker = checker().spawn([&pool] { pool.serve(1); });
    Region regions[2] = {Region(2), Region(4)};
    for (int i = 0; i < 2; ++i) {
      checker().part(i);
      pool.run(regions[i].chunks, 2, &regions[i], &Region::body);
      regions[i].done();
    }
    pool.stop();
    checker().join_thread(worker);
  });
}

bool small_cases() {
  return regions("  2 participants, regions of 2 and 2 chunks", {{2, 2}, {2, 2}}) &&
         forks("  fork beside one region", false);
}

// Breaks the mechanism in one place after the other; true if something goes wrong, visibly, every time.
bool every_order_is_needed(model::Checker& instance) {
  instance.old_values = instance.early_wakes = false;
  if (!small_cases()) return false;
  bool seen = true;
  const auto lines = instance.ordered_lines;
  for (const unsigned line : lines) {
    instance.weakened_line = line;
    std::printf("mechanism.hpp:%u without its order\n", line);
    seen &= !small_cases();
  }
  instance.weakened_line = 0;
  std::printf("nobody is woken\n");
  instance.no_wakes = true;
  seen &= !small_cases();
  instance.no_wakes = false;
  std::printf("claims in two steps\n");
  instance.torn_additions = true;
  seen &= !small_cases();
  return seen;
}

}  // namespace

int main(int argc, char** argv) {
  static model::Checker instance;
  model::Checker::current() = &instance;
  if (argc > 1 && !std::strcmp(argv[1], "canary")) return old_claims() ? 1 : 0;
  if (argc > 1 && !std::strcmp(argv[1], "weaken")) return every_order_is_needed(instance) ? 0 : 1;
  const bool all = argc > 1 && !std::strcmp(argv[1], "all");
  bool ok = regions("2 participants, one region of 2 chunks", {{2, 2}}) &&
            regions("2 participants, regions of 2 and 3 chunks", {{2, 2}, {3, 2}});
  if (all)
    ok = ok && forks("fork beside one region", false) &&
         regions("2 participants, regions of 3, 1 and 2 chunks", {{3, 2}, {1, 2}, {2, 2}});
  // larger cases: with the newest values and no early wake-ups only
  instance.old_values = instance.early_wakes = false;
  ok = ok && regions("2 participants, regions of 3, 1 and 4 chunks", {{3, 2}, {1, 2}, {4, 2}}) &&
       forks("fork beside one region, newest values", false);
  if (argc > 1 && !std::strcmp(argv[1], "three")) ok = regions("3 participants, one region of 2 chunks", {{2, 3}});
  if (all)
    ok = ok && forks("fork beside two regions", true) && regions("3 participants, one region of 2 chunks", {{2, 3}}) &&
         regions("3 participants, one region of 3 chunks", {{3, 3}});
  return ok ? 0 : 1;
}
