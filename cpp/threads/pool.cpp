#include "threads/pool.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <signal.h>
#define FASTOPT_HAS_FORK 1
#endif
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace fastopt::threads {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int max_threads = 256;
constexpr auto spin_time = std::chrono::nanoseconds(50'000);  // a worker after work: longer than the gap in a loop of steps
constexpr double hot_threshold_ns = 8e3;                      // handing a region to workers that spin costs about 2 us
constexpr int hot_streak = 4;           // regions in close succession before sleeping workers are woken for small ones
constexpr double cold_factor = 4;       // how much longer than waking a lone region must last
constexpr double straggler_ns = 100e3;  // a claimed chunk that outlasts the caller's own work by more was descheduled
constexpr double always_ns = 5e5;       // regions so long that a thread that comes late still helps
constexpr int patient_regions = 4;      // in which no worker came to claim anything
// How long regions run alone after a disappointment: doubled each time, paid back by good regions. Counted in time: the
// processors are somebody else's for so many milliseconds, however many regions of ours fit into them.
constexpr double shortest_pause_ns = 1e6, longest_pause_ns = 500e6;

inline void relax() noexcept {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

double since(Clock::time_point start) noexcept {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

// A participant's own range of chunks. The epoch shares the word with the position, so a worker that slept through the
// end of its region cannot claim from the next one with what it has read of the last.
struct alignas(64) Range {
  std::atomic<std::uint64_t> next{0};  // epoch << 32 | position
  std::atomic<std::uint32_t> end{0};
};

class Pool {
 public:
  int size() const noexcept { return size_.load(std::memory_order_relaxed); }

  void set_size(int threads) {
    acquire();
    join();
    size_ = std::clamp(threads, 1, max_threads);
    release();
  }

  void run(std::int64_t chunks, double serial_ns, int max_width, void* context, Body body) {
    run_now(chunks, serial_ns, max_width, context, body);
    if (serial_ns >= hot_threshold_ns) last_end_.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
  }

  void run_now(std::int64_t chunks, double serial_ns, int max_width, void* context, Body body) {
    if (max_width < 2 || !worth_sharing(chunks, serial_ns) || busy_.exchange(true, std::memory_order_acquire)) {
      serial_.fetch_add(1, std::memory_order_relaxed);
      for (std::int64_t chunk = 0; chunk < chunks; ++chunk) body(context, chunk, 0);
      return;
    }
    start_workers();
    share(chunks, serial_ns, max_width, context, body);
    release();
  }

  void acquire() noexcept {
    while (busy_.exchange(true, std::memory_order_acquire)) std::this_thread::yield();
  }
  void release() noexcept { busy_.store(false, std::memory_order_release); }

  void enter() noexcept {
    for (;;) {
      running_.fetch_add(1, std::memory_order_acquire);
      if (!closed_.load(std::memory_order_acquire)) return;
      running_.fetch_sub(1, std::memory_order_release);
      while (closed_.load(std::memory_order_acquire)) std::this_thread::yield();
    }
  }
  void leave() noexcept { running_.fetch_sub(1, std::memory_order_release); }

  // fork(): no step is running and no worker alive while the process is copied.
  void before_fork() noexcept {
    closed_ = true;
    while (running_.load(std::memory_order_acquire) > 0) std::this_thread::yield();
    acquire();
    join();
  }
  void after_fork() noexcept {
    release();
    closed_ = false;
  }

  void set_eager(bool eager) noexcept { eager_.store(eager, std::memory_order_relaxed); }

  Statistics statistics() const noexcept { return {parallel_.load(), serial_.load(), stragglers_.load(), wake_ns_.load()}; }

 private:
  // Workers that still spin cost next to nothing. Sleeping ones cost the caller a system call and arrive late by `wake_ns`;
  // in that time a small region would already be done. But where one region follows the other at once, as in a loop of
  // steps, they are woken only once: a streak of such regions is worth it.
  bool worth_sharing(std::int64_t chunks, double serial_ns) noexcept {
    if (size() < 2 || chunks < 2) return false;
    if (eager_.load(std::memory_order_relaxed)) return true;
    if (serial_ns < hot_threshold_ns) return false;
    const Clock::rep now = Clock::now().time_since_epoch().count();
    const bool follows = now - last_end_.load(std::memory_order_relaxed) < spin_time.count();
    const int streak = follows ? streak_.load(std::memory_order_relaxed) + 1 : 0;
    streak_.store(streak, std::memory_order_relaxed);
    const bool hot = streak >= hot_streak || spinning_.load(std::memory_order_relaxed) > 0;
    if (!hot && serial_ns < cold_factor * wake_ns_.load(std::memory_order_relaxed)) return false;
    if (serial_ns < always_ns && now < alone_until_.load(std::memory_order_relaxed)) return false;
    return true;
  }

  void start_workers() {
    const int wanted = size() - 1;
    while (static_cast<int>(workers_.size()) < wanted) {
      const int worker = static_cast<int>(workers_.size()) + 1;
      // A signal meant for Python must interrupt Python's threads, not ours.
#if FASTOPT_HAS_FORK
      sigset_t all, old;
      sigfillset(&all);
      pthread_sigmask(SIG_SETMASK, &all, &old);
#endif
      try {
        workers_.emplace_back([this, worker, epoch = epoch_.load()] { work(worker, epoch); });
      } catch (...) {  // no more threads to be had: the region runs with those we have
        size_ = static_cast<int>(workers_.size()) + 1;
      }
#if FASTOPT_HAS_FORK
      pthread_sigmask(SIG_SETMASK, &old, nullptr);
#endif
      if (static_cast<int>(workers_.size()) < worker) return;
    }
  }

  void join() noexcept {
    {
      std::lock_guard lock(sleep_mutex_);
      stop_ = true;
    }
    sleep_.notify_all();
    for (auto& worker : workers_) worker.join();
    workers_.clear();
    stop_ = false;
  }

  void share(std::int64_t chunks, double serial_ns, int max_width, void* context, Body body) noexcept {
    const int most = std::min(static_cast<int>(workers_.size()) + 1, max_width);
    const int width = static_cast<int>(std::min<std::int64_t>(most, chunks));
    most_.store(most, std::memory_order_relaxed);
    publish(chunks, width, context, body);
    const bool woke = wake();
    work_on(epoch_.load(std::memory_order_relaxed), 0);
    const auto finished = Clock::now();
    await(chunks);
    const double waited = since(finished);
    parallel_.fetch_add(1, std::memory_order_relaxed);
    learn(woke, waited, serial_ns);
  }

  void publish(std::int64_t chunks, int width, void* context, Body body) noexcept {
    body_.store(body, std::memory_order_relaxed);
    context_.store(context, std::memory_order_relaxed);
    width_.store(width, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
    first_claim_.store(0, std::memory_order_relaxed);
    const std::uint64_t epoch = (epoch_.load(std::memory_order_relaxed) + 1) & 0xffffffffu;
    for (int p = 0; p < width; ++p) {
      ranges_[p].end.store(static_cast<std::uint32_t>(chunks * (p + 1) / width), std::memory_order_relaxed);
      ranges_[p].next.store(epoch << 32 | static_cast<std::uint64_t>(chunks * p / width), std::memory_order_release);
    }
    started_ = Clock::now();
    epoch_.store(epoch, std::memory_order_seq_cst);
  }

  bool wake() noexcept {
    if (sleeping_.load(std::memory_order_seq_cst) == 0) return false;
    {
      std::lock_guard lock(sleep_mutex_);
    }  // a worker between its last look and its sleep holds this
    sleep_.notify_all();
    return true;
  }

  void work_on(std::uint64_t epoch, int self) noexcept {
    if (self >= most_.load(std::memory_order_relaxed)) return;
    const int width = width_.load(std::memory_order_relaxed);
    for (int i = 0; i < width; ++i) {
      Range& range = ranges_[(self + i) % width];
      std::uint64_t next = range.next.load(std::memory_order_acquire);
      while (next >> 32 == epoch && static_cast<std::uint32_t>(next) < range.end.load(std::memory_order_relaxed)) {
        const Body body = body_.load(std::memory_order_relaxed);
        void* const context = context_.load(std::memory_order_relaxed);
        if (!range.next.compare_exchange_weak(next, next + 1, std::memory_order_acq_rel)) continue;
        if (self != 0 && first_claim_.load(std::memory_order_relaxed) == 0)
          first_claim_.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
        body(context, static_cast<std::uint32_t>(next), self);
        done_.fetch_add(1, std::memory_order_release);
        next = range.next.load(std::memory_order_acquire);
      }
    }
  }

  void await(std::int64_t chunks) noexcept {
    for (int i = 0; done_.load(std::memory_order_acquire) < chunks; ++i)
      i < 2000 ? relax() : std::this_thread::yield();  // a descheduled worker may need this very processor
  }

  void learn(bool woke, double waited, double serial_ns) noexcept {
    if (woke) {
      const auto claim = first_claim_.load(std::memory_order_relaxed);
      const double started = static_cast<double>(started_.time_since_epoch().count());
      const double latency = claim > 0 ? static_cast<double>(claim) - started : since(started_);
      wake_ns_.store(0.9 * wake_ns_.load(std::memory_order_relaxed) + 0.1 * std::clamp(latency, 5e3, 1e6),
                     std::memory_order_relaxed);
    }
    const bool late = waited > straggler_ns + serial_ns / 2;
    fruitless_ = first_claim_.load(std::memory_order_relaxed) == 0 ? fruitless_ + 1 : 0;
    if (late || fruitless_ >= patient_regions) {  // the other processors have other work: leave them alone for a while
      stragglers_.fetch_add(late, std::memory_order_relaxed);
      pause_ns_ = std::clamp(2 * pause_ns_, shortest_pause_ns, longest_pause_ns);
      const auto pause = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double, std::nano>(pause_ns_));
      alone_until_.store((Clock::now() + pause).time_since_epoch().count(), std::memory_order_relaxed);
      fruitless_ = 0;
    } else {
      pause_ns_ = std::max(0.0, pause_ns_ - serial_ns / 4);
    }
  }

  void work(int self, std::uint64_t seen) noexcept {
    for (;;) {
      spinning_.fetch_add(1, std::memory_order_relaxed);
      const auto start = Clock::now();
      std::uint64_t epoch = epoch_.load(std::memory_order_seq_cst);
      while (epoch == seen && !stop_.load(std::memory_order_relaxed) && Clock::now() - start < spin_time) {
        for (int i = 0; i < 4; ++i) relax();
        epoch = epoch_.load(std::memory_order_seq_cst);
      }
      spinning_.fetch_sub(1, std::memory_order_relaxed);
      if (epoch == seen) {
        std::unique_lock lock(sleep_mutex_);
        sleeping_.fetch_add(1, std::memory_order_seq_cst);
        sleep_.wait(lock, [&] { return (epoch = epoch_.load(std::memory_order_seq_cst)) != seen || stop_.load(); });
        sleeping_.fetch_sub(1, std::memory_order_seq_cst);
      }
      if (stop_.load()) return;
      seen = epoch;
      work_on(epoch, self);
    }
  }

  std::atomic<int> size_{1};
  std::vector<std::thread> workers_;
  std::atomic<bool> busy_{false}, closed_{false}, stop_{false}, eager_{false};
  std::atomic<int> running_{0};

  alignas(64) std::atomic<std::uint64_t> epoch_{0};
  std::atomic<Body> body_{nullptr};
  std::atomic<void*> context_{nullptr};
  std::atomic<int> width_{1}, most_{1};  // ranges; participants, who may be more
  Clock::time_point started_;
  alignas(64) std::atomic<std::int64_t> done_{0};
  std::atomic<Clock::rep> first_claim_{0};
  Range ranges_[max_threads];

  alignas(64) std::atomic<int> spinning_{0}, sleeping_{0};
  std::mutex sleep_mutex_;
  std::condition_variable sleep_;

  std::atomic<double> wake_ns_{50e3};  // before the first measurement: what a busy virtual machine shows
  std::atomic<int> streak_{0};
  std::atomic<Clock::rep> last_end_{0}, alone_until_{0};
  double pause_ns_ = 0;
  int fruitless_ = 0;
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
void set_size(int threads) { pool().set_size(threads); }
void run(std::int64_t chunks, double serial_ns, int max_width, void* context, Body body) {
  pool().run(chunks, serial_ns, max_width, context, body);
}
Running::Running() noexcept { pool().enter(); }
Running::~Running() { pool().leave(); }
Statistics statistics() noexcept { return pool().statistics(); }
void set_eager(bool eager) noexcept { pool().set_eager(eager); }

}  // namespace fastopt::threads
