// A model checker for small concurrent protocols: every interleaving of a few threads' atomic operations, the values that
// the C++ memory model lets a load return, and a race detector for plain memory.
//
// Threads are fibers on one processor; the scheduler decides at every atomic operation who goes on, and what a load that
// may see an old value sees. A program is run again and again from its start, each time with the next combination of such
// choices (depth first). Two runs in which every thread has observed the same since the last place where nothing earlier
// matters (`here`), and in which memory is the same, have the same future: the second is cut off there, which is what makes
// exhaustive search possible.
//
// The memory model is that of vector clocks: a store releases its thread's clock, or nothing (relaxed); a read-modify-write
// reads the newest value and carries the release before it on; a load may return any store that is not known to be older
// than another one known to the thread. Left out: stores that become visible before an earlier load (load buffering), which
// the protocols here cannot have, since every store of theirs depends on what was loaded before.
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <initializer_list>
#include <memory>
#include <set>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

namespace model {

inline constexpr int max_threads = 6;
inline constexpr std::size_t stack_bytes = 64 << 10;

using Clock = std::array<std::uint32_t, max_threads>;
inline void join(Clock& into, const Clock& other) {
  for (std::size_t i = 0; i < into.size(); ++i) into[i] = into[i] < other[i] ? other[i] : into[i];
}
inline void mix(std::uint64_t& hash, std::uint64_t value) {
  hash ^= value + 0x9e3779b97f4a7c15ull + (hash << 6) + (hash >> 2);
  hash *= 0xff51afd7ed558ccdull;
  hash ^= hash >> 29;
}

struct Store {
  std::int64_t value;
  Clock released;  // what an acquiring reader learns
  int thread;      // who stored it, and when on its own clock
  std::uint32_t at;
};
struct Location {
  std::vector<Store> stores;                    // the modification order
  std::array<std::size_t, max_threads> seen{};  // per thread: the oldest store it may still return
  std::vector<int> sleepers;                    // threads in wait(), in the order of their coming
};

// Points in time at which something happened that others may still have to be ordered after (a store, an access to plain
// memory), as far as they can still make a difference: what every thread knows of is all alike, and of a clock only counts
// how many of those points it covers. Without this, two runs that differ in the past alone would never meet again.
class Stamps {
 public:
  Stamps() { known_.fill(~0u); }
  void everybody_knows(const Clock& clock) {
    for (std::size_t t = 0; t < known_.size(); ++t) known_[t] = std::min(known_[t], clock[t]);
  }
  void add(int thread, std::uint32_t at) {
    if (thread < 0 || at <= known_[static_cast<std::size_t>(thread)]) return;
    auto& [count, list] = later_[static_cast<std::size_t>(thread)];
    for (std::size_t i = count; i-- > 0;)
      if (list[i] == at) return;
    if (count == list.size()) std::abort();
    list[count++] = at;
  }
  void add(const Clock& times) {
    for (int t = 0; t < max_threads; ++t) add(t, times[static_cast<std::size_t>(t)]);
  }
  std::uint64_t rank(int thread, std::uint32_t at) const {
    if (thread < 0) return 0;
    const auto& [count, list] = later_[static_cast<std::size_t>(thread)];
    std::uint64_t covered = 0;
    for (std::size_t i = 0; i < count; ++i) covered += list[i] <= at;
    return covered;
  }
  void mix_into(std::uint64_t& hash, const Clock& clock) const {
    std::uint64_t packed = 0;
    for (int t = 0; t < max_threads; ++t) packed = packed << 8 | rank(t, clock[static_cast<std::size_t>(t)]);
    mix(hash, packed);
  }

 private:
  struct Points {
    std::size_t count = 0;
    std::array<std::uint32_t, 96> list;
  };
  Clock known_;
  std::array<Points, max_threads> later_;
};

// Hashes of the states met. Two of eighty million that differ share one with a probability of 2e-4.
class Visited {
 public:
  // False if it was there.
  bool insert(std::uint64_t hash) {
    hash += hash == 0;  // zero is an empty place
    if (2 * ++size_ > table_.size()) grow();
    std::uint64_t& place = find(hash);
    if (place == hash) return --size_, false;
    place = hash;
    return true;
  }
  std::size_t size() const { return size_; }
  void clear() { size_ = 0, table_.assign(1 << 16, 0); }

 private:
  std::uint64_t& find(std::uint64_t hash) {
    std::size_t i = hash & (table_.size() - 1);
    while (table_[i] != 0 && table_[i] != hash) i = (i + 1) & (table_.size() - 1);
    return table_[i];
  }
  void grow() {
    const auto old = std::exchange(table_, std::vector<std::uint64_t>(2 * table_.size()));
    for (const auto hash : old)
      if (hash != 0) find(hash) = hash;
  }
  std::vector<std::uint64_t> table_;
  std::size_t size_ = 0;
};

// Plain memory, as the state of a run sees it.
struct Cell {
  virtual void add_to(std::uint64_t& hash, const Stamps& stamps) const = 0;
  virtual void collect(Stamps& stamps) const = 0;

 protected:
  ~Cell() = default;
};

struct Fiber {
  ucontext_t start{};
  jmp_buf here, entry;  // where it goes on, and where every run of it begins
  bool has_entry = false;
  bool started = false, finished = false;
  bool chosen = false;
  int wakes_for_no_reason = 0;
  std::function<void()> body;
  std::function<bool()> blocked;  // empty: it may go on
  Clock clock;
  std::unique_ptr<char[]> stack{new char[stack_bytes]};
  // What it knows: where it was last (`here`), and what it has observed since.
  std::uint64_t place = 0, history = 0;

  std::uint64_t state(const Stamps& stamps) const {
    std::uint64_t hash = finished ? 1 : blocked ? 2 : chosen ? 3 : 4;
    mix(hash, static_cast<std::uint64_t>(wakes_for_no_reason));
    mix(hash, place);
    mix(hash, history);
    stamps.mix_into(hash, clock);
    return hash;
  }
};

class Checker {
 public:
  static Checker*& current() {
    static Checker* checker = nullptr;
    return checker;
  }

  // Explores the program; true if nothing was ever wrong. The program makes its objects, spawns, and may check at the end.
  bool explore(const std::string& name, const std::function<void()>& program, std::uint64_t limit = 2'000'000'000) {
    current() = this;
    trail_.clear();
    visited_.clear();
    failure_.clear();
    runs_ = cut_ = 0;
    const std::clock_t began = std::clock();
    do {
      run_once(program);
      ++runs_;
    } while (failure_.empty() && runs_ < limit && next_trail());
    const bool complete = failure_.empty() && runs_ < limit;
    const char* values = !old_values ? ", newest values" : early_wakes ? ", all values" : ", all loads";
    std::printf("%-76s %s: %llu runs, %zu states, %.1f s%s%s\n", (name + values).c_str(), complete ? "holds" : "FAILS",
                static_cast<unsigned long long>(runs_), visited_.size(),
                static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC, failure_.empty() ? "" : ": ", failure_.c_str());
    if (!failure_.empty() && std::getenv("MODEL_TRACE")) std::printf("%s", trace_.c_str());
    std::fflush(stdout);
    return complete;
  }
  const std::string& failure() const { return failure_; }

  // What tests of this checker break: the order of the operation on this line, waking, the look at the word before sleep,
  // the unity of additions.
  unsigned weakened_line = 0;
  bool no_wakes = false, blind_waits = false, torn_additions = false;
  std::set<unsigned> ordered_lines;  // where an order stronger than relaxed was asked for

  bool old_values = true;   // loads may return what is not the newest value
  bool early_wakes = true;  // wait() may return for no reason

  // --- called by the program ---

  int spawn(std::function<void()> body) {
    const int id = static_cast<int>(live_);
    if (live_ == max_threads) fail("too many threads");
    Fiber& fiber = fibers_[live_++];
    fiber.started = fiber.finished = false;
    fiber.wakes_for_no_reason = 0;
    fiber.body = std::move(body);
    fiber.blocked = nullptr;
    fiber.place = fiber.history = 0;
    fiber.clock = self_ >= 0 ? fibers_[self_].clock : Clock{};
    fiber.clock[id] = 1;
    if (self_ >= 0) {
      ++fibers_[self_].clock[self_];
      fibers_[self_].chosen = false;  // the new thread may be faster
    }
    return id;
  }
  void join_thread(int id) {
    block([this, id] { return !fibers_[id].finished; });
    join(me().clock, fibers_[id].clock);
    mix(me().history, 2000u + static_cast<unsigned>(id));
  }
  // A choice between `count` ways to go on.
  int choose(int count) {
    const int taken = decide(count, self_);
    mix(me().history, 1000u + static_cast<unsigned>(taken));
    return taken;
  }
  void check(bool holds, const char* what) {
    if (!holds) fail(what);
  }
  [[noreturn]] void fail(const std::string& what) {
    if (failure_.empty()) failure_ = what;
    abandon();
  }
  int self() const { return self_; }
  Fiber& me() { return fibers_[self_]; }
  std::size_t add_location(std::int64_t value) {
    locations_.emplace_back();
    Location& l = locations_.back();
    l.stores.push_back({value, Clock{}, self_ < 0 ? 0 : self_, 0});
    return locations_.size() - 1;
  }
  Location& location(std::size_t id) { return locations_[id]; }
  // The thread is at a place where only these values matter of all that it has observed in this part of the program.
  void here(std::initializer_list<std::uint64_t> locals) {
    me().history = 0;
    for (auto value : locals) mix(me().history, value + 1);
  }
  // A part of the program that its threads are in; what they observed in those before no longer matters.
  void part(int number) { me().place = static_cast<std::uint64_t>(number), me().history = 0; }
  void add_cell(const Cell* cell) { cells_.push_back(cell); }
  void remove_cell(const Cell* cell) { std::erase(cells_, cell); }
  // The oldest store of a location that a thread may still see: nothing older than what it has seen, or knows of.
  static std::size_t oldest(const Location& l, int thread, const Clock& clock) {
    std::size_t found = l.seen[thread];
    for (std::size_t i = found; i < l.stores.size(); ++i)
      if (l.stores[i].at <= clock[l.stores[i].thread]) found = i;
    return found;
  }
  // Before every atomic operation: anybody may go first. Who was chosen just now, to begin or after waiting, has not done
  // anything since, and is not asked again.
  void point() {
    if (std::exchange(me().chosen, false)) return;
    yield();
  }
  void block(std::function<bool()> blocked) {
    if (!blocked()) return;
    me().blocked = std::move(blocked);
    yield();
    me().chosen = true;
  }
  void note(const char* what, std::size_t location, std::int64_t value) {
    mix(me().history, static_cast<std::uint64_t>(value) * 64 + location);
    if (!tracing_) return;
    char line[96];
    std::snprintf(line, sizeof line, "  thread %d %s [%zu] %lld\n", self_, what, location, static_cast<long long>(value));
    trace_ += line;
  }

 private:
  struct Choice {
    int taken, count;
    std::uint64_t state;
  };

  void run_once(const std::function<void()>& program) {
    locations_.clear();
    cells_.clear();
    live_ = 0;
    step_ = 0;
    self_ = -1;
    trace_.clear();
    tracing_ = std::getenv("MODEL_TRACE") != nullptr;
    spawn(program);
    if (_setjmp(main_) == 0) schedule();
  }

  // Who goes on? Never returns: it jumps into a fiber, or out of the run.
  [[noreturn]] void schedule() {
    int ready[max_threads], count = 0;
    bool all = true;
    for (int i = 0; i < static_cast<int>(live_); ++i) {
      Fiber& f = fibers_[i];
      all &= f.finished;
      if (f.finished || (f.blocked && f.blocked())) continue;
      ready[count++] = i;
    }
    if (count == 0) {
      if (!all) failure_ = "deadlock: a thread waits for what nobody will do";
      abandon();
    }
    const int next = ready[decide(count, -1)];
    self_ = next;
    fibers_[next].blocked = nullptr;
    enter(fibers_[next]);
  }

  int decide(int count, int deciding) {
    if (count == 1) return 0;
    if (step_ < trail_.size()) return trail_[step_++].taken;
    const std::uint64_t now = state(deciding);
    if (!visited_.insert(now)) {
      ++cut_;
      for (const Choice& before : trail_)  // it would never end, or two places of the program are taken for one
        if (before.state == now) fail("a run comes back to where it was");
      abandon();
    }
    trail_.push_back({0, count, now});
    ++step_;
    return 0;
  }

  std::uint64_t state(int deciding) {
    Stamps stamps;
    for (std::size_t i = 0; i < live_; ++i)
      if (!fibers_[i].finished) stamps.everybody_knows(fibers_[i].clock);
    for (Location& l : locations_) {
      trim(l);
      if (old_values)
        for (const Store& s : l.stores) stamps.add(s.thread, s.at);
    }
    for (const Cell* cell : cells_) cell->collect(stamps);

    std::uint64_t hash = static_cast<std::uint64_t>(deciding) + 77;
    for (std::size_t i = 0; i < live_; ++i) mix(hash, fibers_[i].state(stamps));
    for (const Location& l : locations_) {
      for (const Store& s : l.stores) {
        const auto at = old_values ? stamps.rank(s.thread, s.at) : 0;
        mix(hash, static_cast<std::uint64_t>(s.value));
        mix(hash, at == 0 ? 0 : at * 8 + static_cast<std::uint64_t>(s.thread));
        stamps.mix_into(hash, s.released);
      }
      mix(hash, l.stores.size());
      for (std::size_t i = 0; i < live_; ++i) mix(hash, fibers_[i].finished ? 0 : l.seen[i]);
      for (int s : l.sleepers) mix(hash, static_cast<std::uint64_t>(s) + 5);
    }
    for (const Cell* cell : cells_) cell->add_to(hash, stamps);
    return hash;
  }
  // Forgets stores that nobody can see any more.
  void trim(Location& l) {
    if (!old_values) {
      l.stores.erase(l.stores.begin(), l.stores.end() - 1);
      l.seen.fill(0);
      return;
    }
    std::size_t first = l.stores.size() - 1;
    for (std::size_t i = 0; i < live_; ++i)
      if (!fibers_[i].finished) {
        l.seen[i] = oldest(l, static_cast<int>(i), fibers_[i].clock);
        first = std::min(first, l.seen[i]);
      }
    l.stores.erase(l.stores.begin(), l.stores.begin() + static_cast<std::ptrdiff_t>(first));
    for (auto& seen : l.seen) seen = seen < first ? 0 : seen - first;
  }

  bool next_trail() {
    while (!trail_.empty() && trail_.back().taken + 1 == trail_.back().count) trail_.pop_back();
    if (trail_.empty()) return false;
    ++trail_.back().taken;
    return true;
  }

  [[noreturn]] void abandon() { _longjmp(main_, 1); }

  void yield() {
    if (_setjmp(me().here) == 0) schedule();
  }

  [[noreturn]] void enter(Fiber& fiber) {
    if (fiber.started) _longjmp(fiber.here, 1);
    fiber.started = true;
    if (fiber.has_entry) _longjmp(fiber.entry, 1);  // contexts cost system calls: one is made for each stack, not each run
    fiber.has_entry = true;
    getcontext(&fiber.start);
    fiber.start.uc_stack.ss_sp = fiber.stack.get();
    fiber.start.uc_stack.ss_size = stack_bytes;
    fiber.start.uc_link = nullptr;
    makecontext(&fiber.start, &trampoline, 0);
    setcontext(&fiber.start);
    std::abort();
  }
  static void trampoline() {
    _setjmp(current()->me().entry);
    Checker& checker = *current();
    checker.me().chosen = true;
    checker.me().body();
    checker.me().finished = true;
    checker.schedule();
  }

  Fiber fibers_[max_threads];
  std::size_t live_ = 0;
  std::vector<Location> locations_;
  std::vector<const Cell*> cells_;
  int self_ = -1;
  std::vector<Choice> trail_;
  std::size_t step_ = 0;
  Visited visited_;
  std::string failure_, trace_;
  std::uint64_t runs_ = 0, cut_ = 0;
  bool tracing_ = false;
  jmp_buf main_;
};

inline Checker& checker() { return *Checker::current(); }

enum Order { relaxed = 0, acquire = 1, release = 2, acq_rel = 3 };

using Where = std::source_location;
inline Order effective(Order order, const Where& where) {
  if (order == relaxed) return order;
  checker().ordered_lines.insert(where.line());
  return where.line() == checker().weakened_line ? relaxed : order;
}

// An atomic number. `T` is what it is in the library.
template <class T>
class Atomic {
 public:
  Atomic(T value = 0) : id_(checker().add_location(static_cast<std::int64_t>(value))) {}
  Atomic(const Atomic&) = delete;

  T load(Order order, Where where = Where::current()) const {
    order = effective(order, where);
    checker().point();
    Location& l = here();
    const int self = checker().self();
    const std::size_t oldest = Checker::oldest(l, self, checker().me().clock);
    const auto back = checker().old_values ? checker().choose(static_cast<int>(l.stores.size() - oldest)) : 0;
    return observe(l.stores.size() - 1 - static_cast<std::size_t>(back), order, "load");
  }
  void store(T value, Order order, Where where = Where::current()) {
    order = effective(order, where);
    checker().point();
    write(value, order, false);
    checker().note("store", id_, value);
  }
  T exchange(T value, Order order, Where where = Where::current()) {
    return modify(effective(order, where), "exchange", [=](T) { return value; });
  }
  T fetch_add(T by, Order order, Where where = Where::current()) {
    return modify(effective(order, where), "add", [=](T old) { return static_cast<T>(old + by); });
  }
  T fetch_sub(T by, Order order, Where where = Where::current()) {
    return modify(effective(order, where), "subtract", [=](T old) { return static_cast<T>(old - by); });
  }
  T fetch_or(T bits, Order order, Where where = Where::current()) {
    return modify(effective(order, where), "or", [=](T old) { return static_cast<T>(old | bits); });
  }
  T fetch_and(T bits, Order order, Where where = Where::current()) {
    return modify(effective(order, where), "and", [=](T old) { return static_cast<T>(old & bits); });
  }
  bool compare_exchange(T& seen, T wanted, Order order, Where where = Where::current()) {
    order = effective(order, where);
    checker().point();
    const auto newest = here().stores.size() - 1;
    const bool same = here().stores[newest].value == static_cast<std::int64_t>(seen);
    seen = observe(newest, same ? order : relaxed, same ? "swap" : "no swap");
    if (same) write(wanted, order, true);
    return same;
  }

  std::int64_t newest() const { return here().stores.back().value; }
  std::size_t id() const { return id_; }
  Location& here() const { return checker().location(id_); }
  // For a thread that was told of a change: it has seen the newest value.
  void catch_up() const { here().seen[checker().self()] = here().stores.size() - 1; }

 private:
  template <class F>
  T modify(Order order, const char* what, F&& f) {
    checker().point();
    const T old = observe(here().stores.size() - 1, order, what);
    if (checker().torn_additions && what[0] == 'a') checker().point();
    write(f(old), order, true);
    return old;
  }
  T observe(std::size_t index, Order order, const char* what) const {
    Location& l = here();
    l.seen[checker().self()] = index;
    if (order & acquire) join(checker().me().clock, l.stores[index].released);
    checker().note(what, id_, l.stores[index].value);
    return static_cast<T>(l.stores[index].value);
  }
  void write(T value, Order order, bool carries_on) {
    Location& l = here();
    const int self = checker().self();
    Clock& clock = checker().me().clock;
    Clock released = carries_on ? l.stores.back().released : Clock{};
    if (order & release) join(released, clock);
    l.stores.push_back({static_cast<std::int64_t>(value), released, self, clock[self]});
    l.seen[self] = l.stores.size() - 1;
    if (order & release) ++clock[self];  // what comes later is not part of what was released
  }
  std::size_t id_;
};

// Plain memory: two accesses of which one writes must be ordered.
template <class T>
class Plain : Cell {
 public:
  Plain(T value = {}) : value_(value), reads_{} { checker().add_cell(this); }
  ~Plain() { checker().remove_cell(this); }
  Plain(const Plain&) = delete;
  // Nobody looks at it any more, or something else is wrong already.
  void forget() const { checker().remove_cell(this); }
  operator T() const {
    if (checker().self() >= 0) {
      ordered(writer_, write_at_, "a race: plain memory is read while it is written");
      reads_[checker().self()] = checker().me().clock[checker().self()];
    }
    return value_;
  }
  Plain& operator=(T value) {
    if (checker().self() >= 0) {
      ordered(writer_, write_at_, "a race: plain memory is written twice");
      for (int t = 0; t < max_threads; ++t) ordered(t, reads_[t], "a race: plain memory is written while it is read");
      reads_ = {};  // before this write, for whoever comes after it
      writer_ = checker().self();
      write_at_ = checker().me().clock[writer_];
    }
    value_ = value;
    return *this;
  }

 private:
  void add_to(std::uint64_t& hash, const Stamps& stamps) const override {
    const auto at = stamps.rank(writer_, write_at_);
    mix(hash, std::hash<T>{}(value_));
    mix(hash, at == 0 ? 0 : at * 8 + static_cast<std::uint64_t>(writer_));
    stamps.mix_into(hash, reads_);
  }
  void collect(Stamps& stamps) const override {
    stamps.add(writer_, write_at_);
    stamps.add(reads_);
  }
  static void ordered(int thread, std::uint32_t at, const char* what) {
    if (thread >= 0 && at > checker().me().clock[thread]) checker().fail(what);
  }
  T value_;
  int writer_ = -1;
  std::uint32_t write_at_ = 0;
  mutable Clock reads_;
};

// What threads/sync.hpp is in the library.
struct Sync {
  static constexpr Order relaxed = model::relaxed, acquire = model::acquire, release = model::release,
                         acq_rel = model::acq_rel;
  using Word = Atomic<std::uint32_t>;
  using Counter = Atomic<std::int64_t>;
  template <class T>
  using Plain = model::Plain<T>;
  struct Hint {  // follows from what the threads are at: no value of its own to explore
    int value = 0;
    void add(int by) { value += by; }
    int get() const { return value; }
  };

  struct Place {  // changes no value
    struct Stay {};
    void note() {}
    template <class Clock>
    void avoid(Stay&, Clock&&) const {}
  };

  static void wait(Word& word, std::uint32_t value) {
    checker().point();
    checker().note("wait", word.id(), word.newest());
    if (word.newest() != value && !checker().blind_waits) return word.catch_up();
    int& early = checker().me().wakes_for_no_reason;  // once is enough to see what it does
    if (checker().early_wakes && early == 0 && checker().choose(2)) return void(++early);
    auto& sleepers = word.here().sleepers;
    const int self = checker().self();
    sleepers.push_back(self);
    const std::size_t id = word.id();
    checker().block([id, self] {
      for (int s : checker().location(id).sleepers)
        if (s == self) return true;
      return false;
    });
    word.catch_up();
  }
  static void wake(Word& word) {
    checker().point();
    if (checker().no_wakes) return checker().note("no wake", word.id(), -1);
    auto& sleepers = word.here().sleepers;
    // noted whoever is woken: the place behind a wake-up that nobody heard is not the one before it
    checker().note("wake", word.id(), sleepers.empty() ? -1 : sleepers.front());
    if (!sleepers.empty()) sleepers.erase(sleepers.begin());
  }
  static std::int64_t clock() { return 1; }
  template <class... Locals>
  static void here(int place, Locals... locals) {
    checker().here({static_cast<std::uint64_t>(place), std::uint64_t(locals)...});
  }

  // Looks until the word changes, or gives up.
  struct Spin {
    bool again(const Word& word, std::uint32_t value) {
      if (checker().choose(2)) return false;
      checker().block([&word, value] { return word.newest() == value; });
      word.catch_up();
      return true;
    }
  };
  struct Patience {
    template <class T>
    void pause(const Atomic<T>& word, std::int64_t value) {
      checker().block([&word, value] { return word.newest() == value; });
      word.catch_up();
    }
  };
};

}  // namespace model
