// A rule over states in eight bits: some groups of elements are decoded, updated and encoded while they are in L1.
#pragma once
#include "engine/codes.hpp"
#include "engine/loop.hpp"

namespace fastopt::engine {

template <class Rule>
struct CodedLoop : Loop<Rule, float> {
  using Base = Loop<Rule, float>;
  using Base::n_states;
  using typename Base::Coefs;
  using typename Base::Indices;

  static constexpr rules::Codes codes(std::size_t state) {
    return Rule::states[state].used ? Rule::states[state].codes : rules::Codes::none;
  }
  static constexpr bool any_coded() {
    for (std::size_t s = 0; s < n_states; ++s)
      if (codes(s) != rules::Codes::none) return true;
    return false;
  }

  static void update_coded(float* theta, const float* g, const StateAt* states, std::int64_t n, const float* coefs, float,
                           Prefetch& prefetch) {
    coded<false>(theta, g, states, n, Base::unpack(coefs), 0, prefetch, Indices{});
  }
  static void decayed_coded(float* theta, const float* g, const StateAt* states, std::int64_t n, const float* coefs,
                            float decay, Prefetch& prefetch) {
    coded<true>(theta, g, states, n, Base::unpack(coefs), decay, prefetch, Indices{});
  }

  template <bool decays, std::size_t... I>
  static void coded(float* theta, const float* g, const StateAt* states, std::int64_t n, const Coefs c, const float decay,
                    Prefetch& prefetch, std::index_sequence<I...> indices) {
    static_assert(code_group * sizeof(float) == Prefetch::piece && groups_at_once == 4);  // asked for four times
    constexpr std::int64_t together = groups_at_once * code_group;
    alignas(64) float local[n_states][together];
    const auto update = [&](std::int64_t at, std::int64_t count) {
      const std::array<float*, n_states> s = {array_of<I>(states[I], at, local[I])...};
      Base::template update_range<decays, false>(theta + at, g + at, s, 0, count, c, Operands<float>{.decay = decay},
                                                 indices);
    };
    std::int64_t at = 0;
    for (; at + together <= n; at += together) {
      const bool asks = at < prefetch.elements;  // piece by piece, for a core has few fill buffers
      if (asks) prefetch.ask();
      (decode_states<I>(states[I], at, local[I]), ...);
      if (asks) prefetch.ask();
      update(at, together);
      if (asks) prefetch.ask();
      (encode_states<I>(states[I], at, local[I]), ...);
      if (asks) prefetch.ask();
    }
    for (; at < n; at += code_group) {
      const std::int64_t count = std::min(code_group, n - at);
      (decode_state<I>(states[I], at, count, local[I]), ...);
      update(at, count);
      (encode_state<I>(states[I], at, count, local[I]), ...);
    }
  }

  template <std::size_t I>
  static float* array_of(const StateAt& state, std::int64_t at, float* local) {
    return codes(I) == rules::Codes::none && Rule::states[I].used ? state.values + at : local;
  }
  template <std::size_t I>
  FASTOPT_INLINE static void decode_states(const StateAt& state, std::int64_t at, float* local) {
    if constexpr (codes(I) != rules::Codes::none)
      Codes<codes(I) == rules::Codes::with_sign>::decode_groups(state.codes + at, state.scales + at / code_group, local);
  }
  template <std::size_t I>
  FASTOPT_INLINE static void encode_states(const StateAt& state, std::int64_t at, const float* local) {
    if constexpr (codes(I) != rules::Codes::none)
      Codes<codes(I) == rules::Codes::with_sign>::encode_groups(local, state.codes + at, state.scales + at / code_group,
                                                                state.random.after(at));
  }
  // Of the last groups, one by one.
  template <std::size_t I>
  FASTOPT_INLINE static void decode_state(const StateAt& state, std::int64_t at, std::int64_t n, float* local) {
    if constexpr (codes(I) != rules::Codes::none)
      Codes<codes(I) == rules::Codes::with_sign>::decode_group(state.codes + at, state.scales[at / code_group], local, n);
  }
  template <std::size_t I>
  FASTOPT_INLINE static void encode_state(const StateAt& state, std::int64_t at, std::int64_t n, const float* local) {
    if constexpr (codes(I) != rules::Codes::none)
      Codes<codes(I) == rules::Codes::with_sign>::encode_group(local, state.codes + at, state.scales[at / code_group], n,
                                                               state.random.after(at));
  }
};

}  // namespace fastopt::engine
