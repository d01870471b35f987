// How a region is shared: publish, claim, finish. Nothing here decides whether sharing pays (policy.hpp) or owns a thread
// (pool.cpp).
//
// Every worker has a word of its own, and whatever the caller and a worker tell each other goes through it:
//
//                  caller invites               worker enters              worker leaves
//     idle  ------------------------> invited ----------------> working ----------------> idle
//     asleep -> invited_asleep -> invited (whoever wakes it)
//
//  - A worker looks at a region only while its word says `working`, and the caller returns, and writes the next region, only
//    when no word does. So what describes a region is plain memory, and a chunk cannot be claimed out of its time: there is
//    no number of the region to compare, and none that could wrap around.
//  - Who has been invited and has not entered when nothing is left to claim is uninvited again: a worker that gets no
//    processor costs nothing.
//  - A chunk is claimed by one fetch_add on the counter of its range, whose end does not change during the region: every
//    chunk is run exactly once.
//  - Waking goes through a tree, so that the caller pays for a few system calls however many workers sleep.
//
// Written over an abstraction of its atomics: `Sync` is std::atomic and a futex in the library (sync.hpp), and a scheduler
// that tries every interleaving and watches for races in the tests (tests/cpp/explore.cpp). The orders are argued at each
// operation; tests/cpp weakens them one by one and sees the explorer find what then goes wrong. `Sync::here` tells it at
// which places nothing but the named values matters of what a thread has observed; it does nothing in the library.
#pragma once
#include <cstddef>
#include <cstdint>

namespace fastopt::threads {

enum State : std::uint32_t { idle, asleep, invited, invited_asleep, working, stopped };

inline constexpr int fan_out = 4;  // sleeping workers that each participant wakes; a wake-up costs it about 3 us

template <class Sync, int Max>
class Mechanism {
 public:
  using Body = void (*)(void* context, std::int64_t chunk, int participant);

  // --- the caller; one at a time (pool.cpp holds a lock) ---

  // Runs every chunk once, with the caller as participant 0 and workers 1 .. width - 1, which must have been started:
  // publish, claim(0), finish.
  void publish(std::int64_t chunks, int width, bool some_sleep, void* context, Body body) {
    body_ = body;
    context_ = context;
    width_ = width;
    some_sleep_ = some_sleep;
    for (int p = 0; p < width; ++p) {
      participants_[p].next.store(chunks * p / width, Sync::relaxed);
      participants_[p].end = chunks * (p + 1) / width;
      participants_[p].entered = 0;
    }
    caller_.note();
    bool left_to_wake = false;
    for (int p = 1; p < width; ++p) left_to_wake |= invite(p);
    if (!left_to_wake) return;
    if (some_sleep)
      wake_children(0);
    else  // they fell asleep just now, and nobody was told to look for them
      for (int p = 1; p < width; ++p) wake(p);
  }

  void claim(int self) {
    const int width = width_;
    const Body body = body_;
    void* const context = context_;
    for (int i = 0; i < width; ++i) {
      Participant& range = participants_[self + i < width ? self + i : self + i - width];
      const std::int64_t end = range.end;
      // relaxed: a claim only has to be unique; what the chunks read and write is ordered by the words of state
      while (Sync::here(2, i, end, width, context), range.next.load(Sync::relaxed) < end) {
        const std::int64_t chunk = range.next.fetch_add(1, Sync::relaxed);
        if (chunk >= end) break;
        body(context, chunk, self);
      }
    }
  }

  void finish() {
    for (int p = 1; p < width_; ++p) {
      Sync::here(3, p);
      auto& state = participants_[p].state;
      std::uint32_t seen = state.load(Sync::relaxed);
      while (seen == invited || seen == invited_asleep)  // relaxed: who never entered has nothing to show
        if (state.compare_exchange(seen, seen == invited ? idle : asleep, Sync::relaxed)) break;
    }
    for (int p = 1; p < width_; ++p) {
      Sync::here(4, p);
      typename Sync::Patience patience;
      // acquire: with what a worker did, and with its having left the region
      while (participants_[p].state.load(Sync::acquire) == working) patience.pause(participants_[p].state, working);
    }
  }

  // Ends every worker's `serve`; they must be idle or asleep. Waits for none.
  void stop(int workers) {
    for (int p = 1; p <= workers; ++p)
      // relaxed: the worker reads nothing any more, and its end is awaited
      if (participants_[p].state.exchange(stopped, Sync::relaxed) == asleep) Sync::wake(participants_[p].state);
  }
  // Before a worker is started (again): nobody else looks at its word.
  void reset(int p) { participants_[p].state.store(idle, Sync::relaxed); }

  // How many workers sleep: a hint, and old when it is read.
  int sleeping() const { return asleep_.get(); }

  // Of the last region, between regions: did worker p sleep when it was invited, when did it enter (by Sync::clock(); 0: it
  // did not), and when did it leave?
  bool slept(int p) const { return participants_[p].slept; }
  std::int64_t entered(int p) const { return participants_[p].entered; }
  std::int64_t left(int p) const { return participants_[p].left; }

  // --- a worker ---

  void serve(int self) {
    Participant& me = participants_[self];
    typename Sync::Spin spin;
    typename Sync::Place::Stay stay;
    bool sleeping = false;
    for (;;) {
      Sync::here(1, sleeping);
      std::uint32_t state = me.state.load(Sync::relaxed);
      if (sleeping && state != asleep) {
        sleeping = false;
        asleep_.add(-1);
        spin = {};
      }
      if (state == invited || state == invited_asleep) {
        caller_.avoid(stay, Sync::clock);  // before it enters: nobody waits for it yet
        // acquire: from the invitation on, the region is what its caller wrote. If it fails the caller was faster.
        if (!me.state.compare_exchange(state, working, Sync::acquire)) continue;
        me.entered = Sync::clock();
        if (some_sleep_) wake_children(self);
        claim(self);
        me.left = Sync::clock();
        me.state.store(idle, Sync::release);  // all that was done here happens before what the caller does next
        spin = {};
      } else if (state == stopped) {
        return;
      } else if (state == idle) {
        if (spin.again(me.state, idle)) continue;
        if (!me.state.compare_exchange(state, asleep, Sync::relaxed)) continue;
        sleeping = true;
        asleep_.add(1);
      } else {
        Sync::wait(me.state, asleep);  // returns when it is something else, or for no reason
      }
    }
  }

 private:
  struct alignas(64) Participant {
    typename Sync::Word state{idle};
    typename Sync::template Plain<bool> slept{false};
    typename Sync::template Plain<std::int64_t> entered{0}, left{0};
    // Its own range of chunks, from which it claims first, so that its caches meet the same memory at the next region. On a
    // line of its own: others claim from it too.
    alignas(64) typename Sync::Counter next{0};
    typename Sync::template Plain<std::int64_t> end{0};
  };

  // True if the worker sleeps, and somebody must wake it.
  bool invite(int p) {
    auto& state = participants_[p].state;
    std::uint32_t seen = idle;
    participants_[p].slept = false;
    // release: who enters sees the region. Between regions only the worker itself writes its word, idle -> asleep, once.
    if (state.compare_exchange(seen, invited, Sync::release)) return false;
    participants_[p].slept = true;
    state.compare_exchange(seen, invited_asleep, Sync::release);
    return true;
  }

  void wake_children(int self) {
    const std::int64_t first = std::int64_t{self} * fan_out + 1;
    for (std::int64_t p = first; p < first + fan_out && p < width_; ++p) wake(static_cast<int>(p));
  }
  void wake(int p) {
    auto& state = participants_[p].state;
    std::uint32_t seen = state.load(Sync::relaxed);
    // Whoever changes it issues the wake-up, before it leaves the region: an idle word never hides a thread that sleeps
    // without one under way. relaxed: a read-modify-write carries on the release of the invitation that it prolongs.
    if (seen == invited_asleep && state.compare_exchange(seen, invited, Sync::relaxed)) Sync::wake(state);
  }

  typename Sync::template Plain<Body> body_{nullptr};
  typename Sync::template Plain<void*> context_{nullptr};
  typename Sync::template Plain<int> width_{1};
  typename Sync::template Plain<bool> some_sleep_{false};
  typename Sync::Hint asleep_;
  typename Sync::Place caller_;
  Participant participants_[Max];
};

// Counts who is inside, and can be closed: what fork() waits for. One word, so that no order between two matters.
template <class Sync>
class Gate {
 public:
  void enter() {
    std::uint32_t seen = word_.load(Sync::relaxed);
    for (typename Sync::Patience patience;;) {
      if (seen & closed) {
        patience.pause(word_, seen);
        seen = word_.load(Sync::relaxed);
      } else if (word_.compare_exchange(seen, seen + one, Sync::acquire)) {  // acquire: after what the closed time did
        return;
      }
    }
  }
  void leave() { word_.fetch_sub(one, Sync::release); }  // release: what was done inside happens before the closed time

  // Closes and waits until nobody is inside.
  void close() {
    std::uint32_t seen = word_.fetch_or(closed, Sync::acquire) | closed;
    for (typename Sync::Patience patience; seen != closed; seen = word_.load(Sync::acquire)) patience.pause(word_, seen);
  }
  void open() { word_.fetch_and(~closed, Sync::release); }

 private:
  static constexpr std::uint32_t closed = 1, one = 2;
  typename Sync::Word word_{0};
};

}  // namespace fastopt::threads
