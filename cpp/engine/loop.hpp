// A rule over arrays: load to locals, apply the rule, store. The compiler vectorises these loops (checked by
// tests/test_disassembly.py); everything else of a step happens in other loops, before and after (walk.hpp).
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "engine/independent.hpp"
#include "engine/kernels.hpp"
#include "engine/lanes.hpp"
#include "engine/plain_averages.hpp"
#include "engine/prefetch.hpp"

#if defined(_MSC_VER)
#define FASTOPT_INLINE __forceinline
#else
#define FASTOPT_INLINE [[gnu::always_inline]] inline
#endif

namespace fastopt::engine {

template <class Rule, class T>
struct Loop {
  using Coefs = typename Rule::template Coefs<T>;
  static constexpr std::size_t n_states = Rule::states.size();
  using Indices = std::make_index_sequence<n_states>;

  // Constants keeps the bytes of a Coefs; copying it member by member lets the compiler hold them in registers (through a
  // std::array they went by way of the stack: 5 ns of a step on 64 elements).
  static Coefs unpack(const T* coefs) { return *reinterpret_cast<const Coefs*>(coefs); }

  template <std::size_t I>
  static T load(T* state, std::int64_t i) {
    if constexpr (Rule::states[I].used) return state[i];
    return T(0);
  }
  template <std::size_t I>
  static void store(T* state, std::int64_t i, T value) {
    if constexpr (Rule::states[I].used) state[i] = value;
  }

  template <std::size_t I>
  static void ask_ahead(const T* state, std::int64_t i) {
    if constexpr (Rule::states[I].used) Prefetch::ask_ahead(state + i);
  }

  // Decoupled decay has kernels of its own, so that it costs a product and a difference between load and store and no
  // pass, and no decay leaves an infinite theta and the sign of a zero alone. So have gradients that are unscaled and
  // clipped: two products, for a pass over blocks of them stands in the way of what is being loaded.
  template <bool decays, bool scales>
  static void update(T* theta, const T* g, T* const* states, std::int64_t n, const T* coefs, const Operands<T>& operands,
                     Prefetch& prefetch) {
    update<decays, scales>(theta, g, states, n, unpack(coefs), operands, prefetch);
  }

  template <bool decays, bool scales>
  static void update(T* theta, const T* g, T* const* states, std::int64_t n, const Coefs c, const Operands<T> before,
                     Prefetch& prefetch) {
    using Plain = PlainAverages<Rule, T>;
    if constexpr (Plain::known)
      if (Plain::all(c)) return pieces<decays, scales>(theta, g, states, n, Plain::seen(c), before, prefetch, Indices{});
    pieces<decays, scales>(theta, g, states, n, c, before, prefetch, Indices{});
  }

  template <bool decays, bool scales, std::size_t... I>
  FASTOPT_INLINE static void pieces(T* theta, const T* g, T* const* states, std::int64_t n, const Coefs& c,
                                    const Operands<T>& before, Prefetch& prefetch, std::index_sequence<I...> indices) {
    constexpr std::int64_t piece = Prefetch::piece / sizeof(T);
    const std::array<T*, n_states> s = {states[I]...};
    std::int64_t at = 0;
    for (; at + piece <= prefetch.elements; at += piece) {
      if (prefetch.along) {
        Prefetch::ask_ahead(theta + at);
        Prefetch::ask_ahead(g + at);
        (ask_ahead<I>(s[I], at), ...);
      }
      prefetch.ask();
      update_range<decays, scales>(theta, g, s, at, at + piece, c, before, indices);
    }
    update_range<decays, scales>(theta, g, s, at, n, c, before, indices);
  }

  template <bool decays, bool scales, std::size_t... I>
  FASTOPT_INLINE static void update_range(T* theta, const T* g, [[maybe_unused]] const std::array<T*, n_states>& s,
                                          std::int64_t begin, std::int64_t end, const Coefs& c,
                                          [[maybe_unused]] const Operands<T>& before, std::index_sequence<I...>) {
    FASTOPT_INDEPENDENT
    for (std::int64_t i = begin; i < end; ++i) {
      T value = theta[i];
      if constexpr (decays) value -= before.decay * value;
      T gradient = g[i];
      if constexpr (scales) gradient = before.clip * (before.unscale * gradient);
      [[maybe_unused]] std::array<T, n_states> local = {load<I>(s[I], i)...};
      Rule::update(value, gradient, local[I]..., c);
      (store<I>(s[I], i, local[I]), ...);
      theta[i] = value;
    }
  }

  static constexpr bool reduce_reads_theta = !requires { requires !Rule::reduce_reads_theta; };
  static constexpr bool reduce_writes_states = requires { requires Rule::reduce_writes_states; };
  static constexpr unsigned reduce_reads = [] {
    if constexpr (requires { Rule::reduce_reads; }) return Rule::reduce_reads;
    return reduce_writes_states ? ~0u : 0u;
  }();

  template <std::size_t I>
  static T load_to_reduce(T* state, std::int64_t i) {
    if constexpr ((reduce_reads >> I & 1) != 0) return load<I>(state, i);
    return T(0);
  }

  static void reduce(T* theta, const T* g, T* const* states, std::int64_t n, const T* coefs, Lanes* lanes)
    requires(requires { Rule::sums; })
  {
    reduce(theta, g, states, n, unpack(coefs), lanes, Indices{});
  }

  static constexpr bool plain_sums = requires { requires Rule::plain_sums; };

  template <std::size_t I>
  static void ask_ahead_to_reduce(const T* state, std::int64_t i) {
    if constexpr ((reduce_reads >> I & 1) != 0) ask_ahead<I>(state, i);
  }

  static constexpr std::int64_t block = 512;  // of the values that are summed

  template <class Sums, std::size_t... I>
  FASTOPT_INLINE static void reduce_range(const T* theta, const T* g, [[maybe_unused]] const std::array<T*, n_states>& s,
                                          std::int64_t begin, std::int64_t from, std::int64_t end, const Coefs& c, Sums& x,
                                          std::index_sequence<I...>) {
    FASTOPT_INDEPENDENT
    for (std::int64_t i = from; i < end; ++i) {
      T out[Rule::sums];
      if constexpr (reduce_writes_states) {
        std::array<T, n_states> local = {load<I>(s[I], i)...};
        Rule::reduce(theta[i], g[i], local[I]..., c, out);
        (store<I>(s[I], i, local[I]), ...);
      } else if constexpr (reduce_reads != 0) {
        Rule::reduce(theta[i], g[i], load_to_reduce<I>(s[I], i)..., c, out);
      } else {
        Rule::reduce(theta[i], g[i], c, out);
      }
#pragma GCC unroll 8
      for (int k = 0; k < Rule::sums; ++k) x[k][i - begin] = out[k];
    }
  }

  // Blocks of the values that are summed, or their squares, stay in L1 between the rule's loop and the sums'. Asking for
  // what comes takes a third off LARS on memory and a fourteenth off LAMB and Prodigy; of rules whose sums leave theta out
  // (StableAdamW, MARS) the prefetchers keep up with the arrays, and asking costs two in a hundred.
  template <std::size_t... I>
  static void reduce(T* theta, const T* g, [[maybe_unused]] T* const* states, std::int64_t n, const Coefs c, Lanes* lanes,
                     std::index_sequence<I...>) {
    constexpr std::int64_t piece = Prefetch::piece / sizeof(T);
    [[maybe_unused]] const std::array<T*, n_states> s = {states[I]...};
    alignas(64) T x[Rule::sums][block];
    for (std::int64_t begin = 0; begin < n; begin += block) {
      const std::int64_t end = std::min(begin + block, n);
      std::int64_t at = begin;
      for (; at + piece <= end; at += piece) {
        if constexpr (reduce_reads_theta) {
          Prefetch::ask_ahead(theta + at);
          Prefetch::ask_ahead(g + at);
          (ask_ahead_to_reduce<I>(s[I], at), ...);
        }
        reduce_range(theta, g, s, begin, at, at + piece, c, x, Indices{});
      }
      reduce_range(theta, g, s, begin, at, end, c, x, Indices{});
      for (int k = 0; k < Rule::sums; ++k) {
        if constexpr (plain_sums)
          lanes[k].add(x[k], end - begin);
        else
          lanes[k].add_squares(x[k], end - begin);
      }
    }
  }

  static void gather(const T* theta, const T* g, T* const* states, std::int64_t n, const T* coefs, T* to)
    requires(requires { Rule::matrix; })
  {
    [theta, g, states, n, c = unpack(coefs), to]<std::size_t... I>(std::index_sequence<I...>) {
      [[maybe_unused]] const std::array<T*, n_states> s = {states[I]...};
      FASTOPT_INDEPENDENT
      for (std::int64_t i = 0; i < n; ++i) {
        [[maybe_unused]] std::array<T, n_states> local = {load<I>(s[I], i)...};
        to[i] = Rule::gather(theta[i], g[i], local[I]..., c);
        (store<I>(s[I], i, local[I]), ...);
      }
    }(Indices{});
  }
};

}  // namespace fastopt::engine
