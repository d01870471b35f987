#include "threads/pool.hpp"

#include <atomic>
#include <cstdlib>
#include <exception>
#include <new>
#include <thread>

#include "threads/mechanism.hpp"
#include "threads/signals.hpp"
#include "threads/sync.hpp"
#include "threads/thread.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define FASTOPT_HAS_FORK 1
#endif

namespace fastopt::threads {
namespace {

constexpr auto relaxed = std::memory_order_relaxed;
constexpr double follows_ns = 50e3;       // two regions so close belong to a streak: workers still spin
constexpr double measured_from_ns = 3e3;  // work that is shorter is not worth two looks at the clock
constexpr double straggler_ns = 100e3;    // a claimed chunk that outlasts the caller's own work by more was descheduled
constexpr int patient_regions = 4;        // in which no worker came to claim anything
constexpr double probe_from_ns = 20e3;    // a lone region for which the fastest of wake-ups would pay
constexpr double first_wake_ns = 50e3;    // before the first measurement: what a busy virtual machine shows
constexpr double no_threads_ns = 1e9;     // after the system has refused to start a thread
// How long regions run alone after a disappointment: doubled each time, paid back by good regions. Counted in time: the
// processors are somebody else's for so many milliseconds, however many regions of ours fit into them.
constexpr double shortest_pause_ns = 1e6, longest_pause_ns = 500e6;

// A thread needs memory of its own besides its stack. Where there is none, the C library ends the process when the thread
// first asks for it, for an exception, say: so it is asked for first thing (touch_own_data), and no thread is started
// without room.
void expect_room() {
  void* volatile room = std::malloc(std::size_t{1} << 18);
  if (room == nullptr) throw std::bad_alloc();
  std::free(room);
}
void touch_own_data() noexcept { [[maybe_unused]] volatile int none = std::uncaught_exceptions(); }

double now_ns() noexcept { return static_cast<double>(Sync::clock()); }

class Pool {
 public:
  int size() const noexcept { return size_.load(relaxed); }
  void set_size(int threads) noexcept {
    size_.store(std::clamp(threads, 1, max_threads), relaxed);
    processors_.store(static_cast<int>(std::max(1u, std::thread::hardware_concurrency())), relaxed);
  }

  double run(std::int64_t chunks, double work_ns, int widest, void* context, Body body) noexcept {
    const int most = static_cast<int>(std::min<std::int64_t>(std::min(size(), widest), chunks));
    const bool eager = eager_.load(relaxed);
    const bool may_share = most >= 2 && (eager || work_ns >= policy::share_from_ns);
    if (!may_share) return alone(chunks, work_ns, context, body);
    // acquire and release: what one region learnt, the next one knows
    if (busy_.exchange(true, std::memory_order_acquire)) return alone(chunks, work_ns, context, body);
    const int width = start_workers(eager ? most : choose_width(chunks, work_ns, most));
    const double took = width < 2 ? alone(chunks, work_ns, context, body) : share(chunks, width, work_ns, context, body);
    last_end_ = now_ns();
    release();
    return took;
  }

  void enter() noexcept { gate_.enter(); }
  void leave() noexcept { gate_.leave(); }

  // fork(): no step is running and no worker alive while the process is copied.
  void before_fork() noexcept {
    gate_.close();
    acquire();
    mechanism_.stop(workers_.load(relaxed));
    for (int p = 1; p <= workers_.load(relaxed); ++p) threads_[p].join();
    workers_.store(0, relaxed);
  }
  void after_fork() noexcept {
    release();
    gate_.open();
  }

  void set_eager(bool eager) noexcept { eager_.store(eager, relaxed); }
  void pretend_wake(double ns) noexcept {
    acquire();
    for (int i = 0; i < 8; ++i) wake_.add(ns);
    publish_wake();
    release();
  }

  Statistics statistics() const noexcept {
    return {parallel_.load(relaxed), serial_.load(relaxed),  stragglers_.load(relaxed),
            wake_ns_.load(relaxed),  workers_.load(relaxed), width_.load(relaxed)};
  }

 private:
  void acquire() noexcept {
    while (busy_.exchange(true, std::memory_order_acquire)) std::this_thread::yield();
  }
  void release() noexcept { busy_.store(false, std::memory_order_release); }

  double alone(std::int64_t chunks, double work_ns, void* context, Body body) noexcept {
    serial_.fetch_add(1, relaxed);
    const std::int64_t start = work_ns >= measured_from_ns ? Sync::clock() : 0;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) body(context, chunk, 0);
    return start == 0 ? 0 : static_cast<double>(Sync::clock() - start);
  }

  int choose_width(std::int64_t chunks, double work_ns, int most) noexcept {
    const double now = now_ns();
    streak_ = now - last_end_ < follows_ns ? streak_ + 1 : 0;
    policy::Question q;
    q.work_ns = work_ns;
    q.chunks = chunks;
    q.most = std::min(most, processors_.load(relaxed));
    q.awake = workers_.load(relaxed) - mechanism_.sleeping();
    q.streak = streak_;
    q.wake_ns = wake_.value(first_wake_ns);
    q.paused = now < alone_until_;
    const int width = policy::width(q);
    probing_ = width == 1 && !q.paused && q.most >= 2 && work_ns >= probe_from_ns && probe_.due(now);
    return probing_ ? 2 : width;
  }

  // Returns the participants that there are, at most `wanted`.
  int start_workers(int wanted) noexcept {
    int workers = workers_.load(relaxed);
    if (workers >= wanted - 1) return wanted;
    if (now_ns() < refused_until_) return workers + 1;
    const SignalsBlocked blocked;  // a signal meant for Python must interrupt Python's threads, not ours
    try {
      while (workers < wanted - 1) {
        expect_room();
        mechanism_.reset(workers + 1);
        threads_[workers + 1].start([this, self = workers + 1] {
          touch_own_data();
          mechanism_.serve(self);
        });
        workers_.store(++workers, relaxed);
      }
    } catch (const std::exception&) {  // no more threads, or no memory for them: the region runs with those we have
      refused_until_ = now_ns() + no_threads_ns;
    }
    return workers + 1;
  }

  double share(std::int64_t chunks, int width, double work_ns, void* context, Body body) noexcept {
    const bool some_sleep = mechanism_.sleeping() > 0;
    const std::int64_t start = Sync::clock();
    mechanism_.publish(chunks, width, some_sleep, context, body);
    mechanism_.claim(0);
    const std::int64_t claimed = Sync::clock();
    mechanism_.finish();
    const std::int64_t end = Sync::clock();
    parallel_.fetch_add(1, relaxed);
    width_.store(width, relaxed);

    auto busy = static_cast<double>(claimed - start);
    int came = 0;
    for (int p = 1; p < width; ++p) {
      if (mechanism_.entered(p) == 0) continue;
      ++came;
      busy += static_cast<double>(mechanism_.left(p) - mechanism_.entered(p));
    }
    learn_wake(width, start, end);
    learn_pause(came > 0, static_cast<double>(end - claimed), work_ns);
    return busy;
  }

  // What waking a worker takes: the mean of those that slept, by the level of the tree they were woken on. One that has not
  // come tells only that it takes longer than the region did.
  void learn_wake(int width, std::int64_t start, std::int64_t end) noexcept {
    double sum = 0;
    int slept = 0;
    bool all_came = true;
    for (int p = 1, level = 1, last = fan_out; p < width; ++p) {
      if (p > last) ++level, last = last * fan_out + fan_out;
      if (!mechanism_.slept(p)) continue;
      const std::int64_t entered = mechanism_.entered(p);
      all_came &= entered != 0;
      sum += static_cast<double>((entered != 0 ? entered : end) - start) / level;
      ++slept;
    }
    if (slept == 0) return;
    const double took = sum / slept, known = wake_.value(first_wake_ns);
    if (all_came || took > known) wake_.add(std::min(took, 1e6));
    publish_wake();
    if (!probing_) return;
    const bool cheaper = wake_.value(first_wake_ns) < 0.9 * known;
    cheaper ? probe_.refuted(static_cast<double>(end)) : probe_.confirmed(static_cast<double>(end));
  }
  void publish_wake() noexcept { wake_ns_.store(wake_.value(first_wake_ns), relaxed); }

  // Do the other processors have other work?
  void learn_pause(bool somebody_came, double waited, double work_ns) noexcept {
    const bool late = waited > straggler_ns + work_ns / 2;
    fruitless_ = somebody_came ? 0 : fruitless_ + !probing_;
    if (late || fruitless_ >= patient_regions) {
      stragglers_.fetch_add(late, relaxed);
      pause_ns_ = std::clamp(2 * pause_ns_, shortest_pause_ns, longest_pause_ns);
      alone_until_ = now_ns() + pause_ns_;
      fruitless_ = 0;
    } else {
      pause_ns_ = std::max(0.0, pause_ns_ - work_ns / 4);
    }
  }

  std::atomic<int> size_{1}, processors_{1};
  std::atomic<bool> busy_{false}, eager_{false};
  Gate<Sync> gate_;
  Mechanism<Sync, max_threads> mechanism_;

  // of whoever holds `busy_`
  Thread threads_[max_threads];
  Recent<7, 2> wake_;
  Probe probe_;
  bool probing_ = false;
  int streak_ = 0, fruitless_ = 0;
  double last_end_ = 0, pause_ns_ = 0, alone_until_ = 0, refused_until_ = 0;

  // of whoever wants to look
  std::atomic<int> workers_{0}, width_{1};
  std::atomic<double> wake_ns_{first_wake_ns};
  std::atomic<std::int64_t> parallel_{0}, serial_{0}, stragglers_{0};
};

// Never destroyed: daemon threads of Python may still be inside a step while the process exits.
Pool& pool() {
  static Pool& instance = *[] {
    auto* created = new Pool;
#if FASTOPT_HAS_FORK
    pthread_atfork([] { pool().before_fork(); }, [] { pool().after_fork(); }, [] { pool().after_fork(); });
#endif
    return created;
  }();
  return instance;
}

}  // namespace

int size() noexcept { return pool().size(); }
void set_size(int threads) noexcept { pool().set_size(threads); }
double run(std::int64_t chunks, double work_ns, int widest, void* context, Body body) noexcept {
  return pool().run(chunks, work_ns, widest, context, body);
}
Running::Running() noexcept { pool().enter(); }
Running::~Running() { pool().leave(); }
Statistics statistics() noexcept { return pool().statistics(); }
void set_eager(bool eager) noexcept { pool().set_eager(eager); }
void pretend_wake(double ns) noexcept { pool().pretend_wake(ns); }

}  // namespace fastopt::threads
