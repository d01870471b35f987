// Every interleaving of the pool's mechanism for small cases: each chunk exactly once, none outside of its region, no race,
// no worker left asleep, at any order that the memory model allows. tests/test_pool.py builds and runs it.
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
  // From here on any chunk of it is wrong, so that what it holds makes no difference to the checker.
  void done() {
    over = true;
    for (int c = 0; c < chunks; ++c) checker().check(runs[c] == 1, "a chunk was not run exactly once");
    for (auto& run : runs) run.forget();
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
    for (int p = 1; p < width; ++p)  // what pool.cpp learns from
      if (mechanism.entered(p) != 0) checker().check(mechanism.left(p) != 0, "a worker that came has not left");
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
bool forks(const std::string& name, std::initializer_list<Shape> shapes) {
  const std::vector<Shape> list(shapes);
  return model::Checker::current()->explore(name, [&list] {
    struct Shared {
      Crew crew;
      fastopt::threads::Gate<model::Sync> gate;
      Plain<int> inside{0};
      Region regions[2];
    } shared{{}, {}, {0}, {Region(list.front().chunks), Region(list.back().chunks)}};
    const int stepping = checker().spawn([&shared, &list] {
      for (int i = 0; i < static_cast<int>(list.size()); ++i) {
        checker().part(i);
        shared.gate.enter();
        shared.inside = shared.inside + 1;
        shared.crew.run(shared.regions[i], list[static_cast<std::size_t>(i)].width);
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

bool old_claims(const std::string& name, int participants) {
  return model::Checker::current()->explore(name, [=] {
    OldPool<model::Sync> pool;
    int workers[2] = {};
    for (int p = 1; p < participants; ++p) workers[p - 1] = checker().spawn([&pool, p] { pool.serve(p); });
    Region regions[2] = {Region(2), Region(4)};
    for (int i = 0; i < 2; ++i) {
      checker().part(i);
      pool.run(regions[i].chunks, participants, &regions[i], &Region::body);
      regions[i].done();
    }
    pool.stop();
    for (int p = 1; p < participants; ++p) checker().join_thread(workers[p - 1]);
  });
}

// What `explore weaken` breaks; newest values show everything that it breaks.
bool small_cases() {
  return regions("  2 participants, regions of 2 and 2 chunks", {{2, 2}, {2, 2}}) &&
         forks("  fork beside one region of 2 participants", {{2, 2}});
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
  const std::pair<const char*, bool*> others[] = {{"nobody is woken", &instance.no_wakes},
                                                  {"a wait that does not look", &instance.blind_waits},
                                                  {"claims in two steps", &instance.torn_additions}};
  for (const auto& [what, broken] : others) {
    std::printf("%s\n", what);
    *broken = true;
    seen &= !small_cases() && !regions("  3 participants, regions of 2 and 3 chunks", {{2, 3}, {3, 3}});
    *broken = false;
  }
  return seen;
}

void loads_return(model::Checker& instance, bool old_values) { instance.old_values = instance.early_wakes = old_values; }

// Loads return whatever the memory model allows, and a wait may end early.
bool all_values_small(model::Checker& instance) {
  loads_return(instance, true);
  return regions("2 participants, one region of 2 chunks", {{2, 2}}) &&
         regions("2 participants, regions of 2 and 3 chunks", {{2, 2}, {3, 2}}) &&
         regions("2 participants, regions of 3, 1 and 2 chunks", {{3, 2}, {1, 2}, {2, 2}}) &&
         forks("2 participants, fork beside one region of 2 chunks", {{2, 2}});
}
// Loads return the newest value: any interleaving on a machine without store buffers, and what is not ordered is still seen.
bool newest_small(model::Checker& instance) {
  loads_return(instance, false);
  return regions("2 participants, regions of 3, 1 and 4 chunks", {{3, 2}, {1, 2}, {4, 2}}) &&
         forks("2 participants, fork beside regions of 2 and 3", {{2, 2}, {3, 2}});
}
bool newest_three(model::Checker& instance) {
  loads_return(instance, false);
  return regions("3 participants, regions of 2 and 3 chunks", {{2, 3}, {3, 3}}) &&
         forks("3 participants, fork beside one region of 2", {{2, 3}});
}
// Three participants that load old values: nobody wakes for no reason, and one region.
bool all_loads_three(model::Checker& instance) {
  instance.old_values = true, instance.early_wakes = false;
  return regions("3 participants, one region of 2 chunks", {{2, 3}});
}
bool nightly(model::Checker& instance) {
  loads_return(instance, true);
  const bool ok = forks("2 participants, fork beside regions of 2 and 3", {{2, 2}, {3, 2}});
  loads_return(instance, false);
  return ok && regions("2 participants, then 3, regions of 2 and 3 chunks", {{2, 2}, {3, 3}}) &&
         regions("3 participants, then 2, regions of 3 and 2 chunks", {{3, 3}, {2, 2}}) &&
         regions("3 participants, regions of 3, 1 and 4 chunks", {{3, 3}, {1, 3}, {4, 3}}) &&
         forks("2 participants, then 3, fork beside regions of 2 and 1", {{2, 2}, {1, 3}}) &&
         forks("3 participants, fork beside regions of 2 and 3", {{2, 3}, {3, 3}}) && all_loads_three(instance);
}

}  // namespace

int main(int argc, char** argv) {
  static model::Checker instance;
  model::Checker::current() = &instance;
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "canary") {
    const bool two = old_claims("canary: the claims of the first pool, 2 participants", 2);
    loads_return(instance, false);
    return !two && !old_claims("canary: the claims of the first pool, 3 participants", 3) ? 0 : 1;
  }
  if (what == "weaken") return every_order_is_needed(instance) ? 0 : 1;
  if (what == "small") return all_values_small(instance) && newest_small(instance) ? 0 : 1;
  if (what == "three") return newest_three(instance) ? 0 : 1;
  if (what == "loads") return all_loads_three(instance) ? 0 : 1;
  if (what == "nightly") return nightly(instance) ? 0 : 1;
  const bool ok = all_values_small(instance) && newest_small(instance) && newest_three(instance);
  return ok && (what != "all" || nightly(instance)) ? 0 : 1;
}
