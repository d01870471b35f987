#include "linalg/stack.hpp"

#include <algorithm>
#include <mutex>
#include <stdexcept>

#include "linalg/eigh.hpp"
#include "linalg/jacobi.hpp"
#include "linalg/lane_solve.hpp"
#include "linalg/product.hpp"
#include "threads/carry.hpp"

namespace fastopt::linalg {
namespace {

// One matrix up to here stays out of the blocked route, whose preparations cost more than the work (microseconds, n = 8: 1.4
// against 4.3 for values, 2.3 against 6.3 with vectors; n = 16: 4.9 against 5.9 and 8.7 against 17; n = 32: 18 against 13
// and 41 against 50).
constexpr std::int64_t single_values = 16, single_vectors = 32;
// Below this order a call is over before anybody could press a key, and taking the GIL would only be felt by others.
constexpr std::int64_t interruptible = 256;
// From here on a matrix has work for all threads (eigh.cpp).
constexpr std::int64_t threaded = 512;
constexpr double round_ns = 5e7;  // between two looks at the signals, per thread

// What went wrong first, from all threads.
struct Report {
  std::mutex lock;
  Failure failure;

  void add(std::int64_t index, const char* what) {
    const std::lock_guard<std::mutex> held(lock);
    if (failure && failure.index < index) return;
    failure.index = index;
    failure.what = what;
  }
  bool any() const { return bool(failure); }
};

// Vectors come as rows; columns are asked for.
template <class T>
void transpose(T* v, std::int64_t n) {
  constexpr std::int64_t block = 16;
  for (std::int64_t i0 = 0; i0 < n; i0 += block)
    for (std::int64_t j0 = 0; j0 <= i0; j0 += block)
      for (std::int64_t i = i0; i < std::min(i0 + block, n); ++i)
        for (std::int64_t j = j0; j < std::min(j0 + block, i); ++j) std::swap(v[i * n + j], v[j * n + i]);
}

// Matrix i by the solver of single matrices.
template <class T>
void solve_whole(const Stack<T>& s, std::int64_t i, Interrupt interrupt, Report& report) {
  try {
    T *w = s.w + i * s.n, *v = s.v ? s.v + i * s.n * s.n : nullptr;
    if (s.jacobi)
      jacobi_eigh(s.matrix(i), s.n, w, v, interrupt);
    else if (v)
      eigh(s.matrix(i), s.n, w, v, interrupt);
    else
      eigvalsh(s.matrix(i), s.n, w, interrupt);
    if (v && !s.rows) transpose(v, s.n);
  } catch (const std::domain_error& e) {
    report.add(i, e.what());
  } catch (const std::runtime_error& e) {
    report.add(i, e.what());
  }
}

template <class T>
void solve_group(const Stack<T>& s, std::int64_t first, int count, T* work, Report& report) {
  LaneResult results[2 * lanes<T>];
  lane_solve(s, first, count, work, results);
  for (int l = 0; l < count; ++l) {
    if (results[l] == LaneResult::not_finite) report.add(first + l, not_finite);
    if (results[l] == LaneResult::not_converged) solve_whole(s, first + l, nullptr, report);
  }
}

// Calls body(first, last, worker) for ranges that cover the stack, from `helpers` threads at most, and looks at the signals
// between. A range is a multiple of `grain` matrices. each_ns: the estimate for one matrix.
template <class F>
void in_rounds(std::int64_t count, std::int64_t grain, double each_ns, int helpers, Interrupt interrupt,
               const Report& report, F&& body) {
  constexpr double chunk_ns = 3e4;
  const std::int64_t chunk = round_up(std::max<std::int64_t>(1, std::int64_t(chunk_ns / each_ns)), grain);
  const std::int64_t round = round_up(std::max<std::int64_t>(1, std::int64_t(round_ns / each_ns)) * helpers, chunk);
  for (std::int64_t begin = 0; begin < count && !report.any(); begin += round) {
    if (begin > 0) poll(interrupt);
    const std::int64_t end = std::min(count, begin + round);
    threads::try_each(
        (end - begin + chunk - 1) / chunk, double(end - begin) * each_ns, helpers,
        [&](std::int64_t i, int worker) { body(begin + i * chunk, std::min(end, begin + (i + 1) * chunk), worker); });
  }
}

// Small matrices. Nanoseconds as measured with AVX-512, float64.
template <class T>
void solve_in_lanes(const Stack<T>& s, Interrupt interrupt, Report& report) {
  const std::int64_t grain = lane_group<T>();
  const double n = double(s.n), each_ns = 10 + (s.v ? 0.4 * n + 6 : 0.12 * n + 2) * n * n;
  const std::int64_t work = s.n * s.n * std::min(round_up(s.count, lanes<T>), grain);
  const int helpers = threads::size();
  std::vector<Buffer<T>> buffers;
  buffers.reserve(std::size_t(helpers));
  for (int i = 0; i < helpers; ++i) buffers.emplace_back(work);
  in_rounds(s.count, grain, each_ns, helpers, interrupt, report, [&](std::int64_t first, std::int64_t last, int worker) {
    for (; first < last; first += grain)
      solve_group(s, first, int(std::min(grain, last - first)), buffers[std::size_t(worker)].get(), report);
  });
}

// Matrices too large for a lane, too small to share: whole ones to each thread.
template <class T>
void solve_shared(const Stack<T>& s, Interrupt interrupt, Report& report) {
  const double n = double(s.n), each_ns = (s.jacobi ? 10 : s.v ? 0.6 : 0.3) * n * n * n;
  in_rounds(s.count, 1, each_ns, threads::size(), interrupt, report, [&](std::int64_t first, std::int64_t last, int) {
    for (; first < last; ++first) solve_whole(s, first, nullptr, report);
  });
}

template <class T>
void solve_single(const Stack<T>& s, Report& report) {
  alignas(cache_line) T work[single_vectors * single_vectors];
  solve_group(s, 0, 1, work, report);
}

}  // namespace

template <class T>
Failure solve_stack(const Stack<T>& s, Interrupt interrupt) {
  if (s.n == 0 || s.count == 0) return {};
  Report report;
  if (s.count == 1 && s.n <= (s.v ? single_vectors : single_values) && !s.jacobi) {
    solve_single(s, report);
  } else if (s.count > 1 && s.n <= lane_order && !s.jacobi) {
    solve_in_lanes(s, interrupt, report);
  } else if (s.count > 1 && s.n < threaded) {
    solve_shared(s, interrupt, report);
  } else {
    for (std::int64_t i = 0; i < s.count && !report.any(); ++i) {
      if (i > 0) poll(interrupt);
      solve_whole(s, i, s.n >= interruptible ? interrupt : nullptr, report);
    }
  }
  return report.failure;
}

template Failure solve_stack(const Stack<double>&, Interrupt);
template Failure solve_stack(const Stack<float>&, Interrupt);

}  // namespace fastopt::linalg
