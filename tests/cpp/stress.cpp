// The real pool under stress: regions of few and many chunks in turn, callers that compete, widths that change, forks. Every
// chunk must run once and none after its region has returned. tests/test_pool.py builds and runs it, `make tsan` with a race
// detector.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "threads/pool.hpp"

namespace threads = fastopt::threads;

namespace {

constexpr int most = 64;

struct Region {
  std::atomic<int> runs[most] = {};
  std::atomic<bool> over{false};
  int plain[most] = {};  // written by whoever runs the chunk, read by the caller: a race if `run` returned too early
};

std::atomic<long> wrong{0};

void one(int chunks) {
  Region region;
  threads::run(chunks, 1e9, threads::max_threads, &region, [](void* context, std::int64_t chunk, int) {
    auto& r = *static_cast<Region*>(context);
    if (r.over.load(std::memory_order_relaxed)) ++wrong;
    r.runs[chunk].fetch_add(1, std::memory_order_relaxed);
    ++r.plain[chunk];
  });
  region.over.store(true, std::memory_order_relaxed);
  for (int c = 0; c < chunks; ++c) wrong += region.runs[c].load(std::memory_order_relaxed) != 1 || region.plain[c] != 1;
}

void some(long regions, unsigned seed) {
  for (long i = 0; i < regions; ++i) {
    one(i % 2 ? 64 : 2);
    if (seed && i % 4096 == 0) threads::set_size(2 + static_cast<int>(seed++ % 7));
    if (i % 997 == 0) std::this_thread::sleep_for(std::chrono::microseconds(80));  // workers fall asleep
  }
}

bool child_is_well() {
  const pid_t child = fork();
  if (child == 0) {
    some(50, 0);
    _exit(wrong == 0 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  const long regions = argc > 1 ? std::atol(argv[1]) : 200'000;
  const int size = argc > 2 ? std::atoi(argv[2]) : 2;
  const bool forks = argc > 3 && std::atoi(argv[3]) != 0;
  threads::set_size(size);
  threads::set_eager(true);
  some(regions, 0);
  std::thread other([=] { some(regions / 4, 0); });
  std::thread third([=] { some(regions / 4, 1); });
  for (int i = 0; forks && i < 20; ++i) {
    const threads::Running running;
    one(8);
  }
  for (int i = 0; forks && i < 20; ++i) wrong += !child_is_well();
  other.join();
  third.join();
  const auto statistics = threads::statistics();
  std::printf("%ld wrong, %lld regions shared, %lld not\n", wrong.load(), static_cast<long long>(statistics.parallel),
              static_cast<long long>(statistics.serial));
  return wrong == 0 && statistics.parallel > 0 ? 0 : 1;
}
