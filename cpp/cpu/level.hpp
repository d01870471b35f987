// Which psABI level does this processor have? Every bit that a level may use is tested, and that the operating system saves
// the registers (XGETBV); the compiler's own question, __builtin_cpu_supports("x86-64-v3"), needs GCC 12 or a recent Clang.
// Bits: Intel SDM vol. 2A, CPUID; levels: x86-64 psABI, table 3.1.
#pragma once
#include <initializer_list>

#if defined(__x86_64__) || defined(_M_X64)
#if defined(_MSC_VER)
#include <immintrin.h>
#include <intrin.h>
#else
#include <cpuid.h>
#endif

namespace fastopt::cpu {

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

inline Registers cpuid(unsigned leaf, unsigned sub = 0) {
  Registers r;
#if defined(_MSC_VER)
  int out[4];
  __cpuidex(out, static_cast<int>(leaf), static_cast<int>(sub));
  r = {static_cast<unsigned>(out[0]), static_cast<unsigned>(out[1]), static_cast<unsigned>(out[2]),
       static_cast<unsigned>(out[3])};
#else
  __cpuid_count(leaf, sub, r.eax, r.ebx, r.ecx, r.edx);
#endif
  return r;
}

inline unsigned saved_registers() {
#if defined(_MSC_VER)
  return static_cast<unsigned>(_xgetbv(0));
#else
  unsigned low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
#endif
}

constexpr unsigned bits(std::initializer_list<int> positions) {
  unsigned mask = 0;
  for (const int p : positions) mask |= 1u << p;
  return mask;
}

inline int level() {
  const unsigned leaves = cpuid(0).eax, extended = cpuid(0x80000000).eax;
  if (leaves < 1 || extended < 0x80000001) return 1;
  const Registers one = cpuid(1), ext = cpuid(0x80000001);
  const auto has = [](unsigned value, unsigned mask) { return (value & mask) == mask; };
  // SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT; LAHF
  if (!has(one.ecx, bits({0, 9, 13, 19, 20, 23})) || !has(ext.ecx, bits({0}))) return 1;
  if (leaves < 7) return 2;
  const Registers seven = cpuid(7);
  // FMA, MOVBE, OSXSAVE, AVX, F16C; LZCNT; BMI1, AVX2, BMI2
  if (!has(one.ecx, bits({12, 22, 27, 28, 29})) || !has(ext.ecx, bits({5})) || !has(seven.ebx, bits({3, 5, 8}))) return 2;
  const unsigned saved = saved_registers();
  if (!has(saved, bits({1, 2}))) return 2;  // XMM, YMM
  // AVX-512 F, DQ, CD, BW, VL; opmask, upper halves of ZMM0-15, ZMM16-31
  if (!has(seven.ebx, bits({16, 17, 28, 30, 31})) || !has(saved, bits({5, 6, 7}))) return 3;
  return 4;
}

}  // namespace fastopt::cpu
#else
namespace fastopt::cpu {
inline int level() { return 0; }  // one module, built for the architecture's baseline
}  // namespace fastopt::cpu
#endif
