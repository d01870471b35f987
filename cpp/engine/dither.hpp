// Random bits for stochastic rounding: a function of seed, step, tensor, role and element, so that they are the same for
// every number of threads, CPU level and cut of the tensors, and a step costs a load and an exclusive or for each.
//
// A fixed table of 19-bit numbers is read from an offset, and combined with a number, that both come from a hash of all of
// those but the element's place in its run of 1024. From step to step the bits of an element are independent; within a run
// they are those of the table. Nineteen, as many as eight-bit codes of squares cut off, so that they are added as they are.
#pragma once
#include <array>
#include <cstdint>

namespace fastopt::engine {

// The output function of SplitMix64 (Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195).
constexpr std::uint64_t scrambled(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

constexpr std::uint64_t golden = 0x9e3779b97f4a7c15u;  // 2^64 over the golden ratio

constexpr std::uint64_t mixed(std::uint64_t h, std::uint64_t x) { return scrambled(h + golden * (x + 1)); }

class Dither {
 public:
  static constexpr int run = 1024, bits = 19;

  Dither() = default;
  // `of_step` is mixed(seed, step); the role tells apart what is rounded of one tensor.
  Dither(std::uint64_t of_step, std::uint64_t tensor, std::uint64_t role) : key_(mixed(mixed(of_step, tensor), role)) {}

  // Those of the elements from `at` on that lie in its run: [0] is that of element `at`.
  struct Bits {
    const std::uint32_t* table;
    std::uint32_t key;
    std::uint32_t operator[](std::int64_t i) const { return table[i] ^ key; }
    Bits after(std::int64_t n) const { return {table + n, key}; }
  };
  Bits from(std::int64_t at) const {
    const std::uint64_t h = mixed(key_, static_cast<std::uint64_t>(at) / run);
    return {table().data() + (h & (offsets - 1)) + at % run, static_cast<std::uint32_t>(h >> (64 - bits))};
  }

 private:
  static constexpr std::size_t offsets = 2048;
  using Table = std::array<std::uint32_t, offsets + run>;
  static constexpr Table make() {
    Table table{};
    std::uint64_t state = 0;
    for (auto& entry : table) entry = static_cast<std::uint32_t>(scrambled(state += golden) >> (64 - bits));
    return table;
  }
  static const Table& table() {
    alignas(64) static constexpr Table made = make();
    return made;
  }

  std::uint64_t key_ = 0;
};

}  // namespace fastopt::engine
