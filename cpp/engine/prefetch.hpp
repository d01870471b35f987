// Memory asked for while the processor computes. A step walks four to seven arrays side by side: too many for the
// prefetchers of one core to keep far enough ahead, and a root and a division per element leave no room in the reorder
// window for loads of the next elements. Asking 1 KiB ahead of every array makes steps on memory 1.1 to 1.2 times faster
// and costs nothing in the caches; asking for a whole block at once made them slower (the fill buffers are few).
#pragma once
#include <cstddef>
#include <cstdint>

namespace fastopt::engine {

// Every line that holds some of these bytes: NumPy's arrays begin within one, and then a row ends in one more.
inline void ask_for([[maybe_unused]] const char* from, [[maybe_unused]] std::int64_t bytes) {
#if defined(__GNUC__)
  constexpr std::int64_t line = 64;
  const char* const end = from + bytes;
  for (const char* at = from - reinterpret_cast<std::uintptr_t>(from) % line; at < end; at += line) __builtin_prefetch(at);
  __asm__ volatile("");  // GCC takes it that a function that only asks does nothing, and leaves the call out
#endif
}
// Of a row: the beginning, for of a long one the rest comes by itself.
inline void ask_for_row(const char* row, std::int64_t bytes) { ask_for(row, bytes < 512 ? bytes : 512); }

struct Prefetch {
  static constexpr int max_arrays = 12;  // parameter, gradient, four states, average, second arrays
  static constexpr std::int64_t ahead = 1024, piece = 256, line = 64;  // bytes, of the type of computation

  struct Array {
    std::uintptr_t next;
    std::uintptr_t lines;  // for each piece
  };
  Array arrays[max_arrays];
  int count = 0;
  bool along = false;         // `ahead` of the loop's own arrays too
  std::int64_t elements = 0;  // of the loop, during which to ask

  // `from` may lie past the array's end, so it is a number.
  void add(std::uintptr_t from, std::uintptr_t bytes_per_piece) { arrays[count++] = {from, bytes_per_piece / line}; }

  template <class T>
  static void ask_ahead(const T* x) {
#if defined(__GNUC__)
    const std::uintptr_t at = reinterpret_cast<std::uintptr_t>(x) + ahead;
    for (std::uintptr_t i = 0; i < piece; i += line) __builtin_prefetch(reinterpret_cast<const void*>(at + i));
#endif
  }

  void ask() {
#if defined(__GNUC__)
    for (int k = 0; k < count; ++k) {
      std::uintptr_t at = arrays[k].next;
      for (std::uintptr_t i = arrays[k].lines; i > 0; --i, at += line) __builtin_prefetch(reinterpret_cast<const void*>(at));
      arrays[k].next = at;
    }
#endif
  }
};

}  // namespace fastopt::engine
