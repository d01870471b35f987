// Preloaded into a process: says on which processor a thread runs, and writes down where threads ask to be. The main thread
// is answered as the test says, all others likewise with a number of their own. For glibc.
#include <dlfcn.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>

namespace {

constexpr int most_moves = 1 << 12;
std::atomic<int> main_runs_on{-1}, others_run_on{-1};
std::atomic<long> asked{0}, moves{0};  // by other threads than the main one
cpu_set_t wanted[most_moves];

bool main_thread() { return gettid() == getpid(); }

}  // namespace

extern "C" {

void told_processors_say(int main, int others) {
  main_runs_on = main;
  others_run_on = others;
  asked = moves = 0;
}
long told_processors_asked() { return asked; }
long told_processors_moves() { return moves < most_moves ? moves.load() : most_moves; }
int told_processors_wanted(long move, int processor) { return CPU_ISSET(processor, &wanted[move]) != 0; }

int sched_getcpu() {
  if (main_thread()) return main_runs_on;
  ++asked;
  return others_run_on;
}

int sched_setaffinity(pid_t task, size_t size, const cpu_set_t* set) {
  static const auto call = reinterpret_cast<int (*)(pid_t, size_t, const cpu_set_t*)>(dlsym(RTLD_NEXT, "sched_setaffinity"));
  if (!main_thread()) {
    if (moves < most_moves) wanted[moves] = *set;  // one worker, so nobody else counts meanwhile
    ++moves;
  }
  return call(task, size, set);
}

}  // extern "C"
