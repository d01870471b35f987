// Passes over a tensor without a rule: its average, its look-ahead point, the way to its first state.
#pragma once
#include <algorithm>

#include "engine/block.hpp"
#include "engine/constants.hpp"
#include "engine/tensor.hpp"

namespace fastopt::engine {

// Elements of one block: 4 KiB of each array, so that the blocks of all arrays stay in L1.
template <class T>
inline constexpr std::int64_t block_size = 4096 / sizeof(T);

template <class T>
inline void update_average(const Tensor& tensor, const Constants<T>& constants, const T* theta, std::int64_t at,
                           std::int64_t n) {
  T* mean = tensor.ema.at<T>(at);
  if (constants.ema_copy)
    std::copy_n(theta, n, mean);
  else
    block::average(mean, theta, n, constants.ema_keep, constants.ema_take);
}

// The parameter, and its shadow where it has one, between steps: to nearest.
template <class T>
inline void store_theta(const Tensor& tensor, std::int64_t at, std::int64_t n, const T* theta) {
  Stored stored = tensor.theta;
  stored.stochastic = false;
  store(stored, at, n, theta, Dither());
  if (tensor.shadow) store(tensor.shadow, at, n, theta, Dither());
}

// theta += by * (first state)
template <class T>
inline void add_first_state(const Tensor& tensor, double by, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t size = block_size<T>;
  alignas(64) T theta[size], state[size];
  for (std::int64_t at = begin; at < end; at += size) {
    const std::int64_t n = std::min(size, end - at);
    load(tensor.states[0], at, n, state);
    load(tensor.theta, at, n, theta);
    block::add_scaled(theta, state, theta, n, static_cast<T>(by));
    store_theta(tensor, at, n, theta);
  }
}

// theta += by * ((first state) - theta)
template <class T>
inline void move_to_first_state(const Tensor& tensor, double by, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t size = block_size<T>;
  alignas(64) T theta[size], state[size];
  for (std::int64_t at = begin; at < end; at += size) {
    const std::int64_t n = std::min(size, end - at);
    load(tensor.states[0], at, n, state);
    load(tensor.theta, at, n, theta);
    block::move_towards(theta, state, n, static_cast<T>(by));
    store_theta(tensor, at, n, theta);
  }
}

// A tensor without a gradient: only its average moves.
template <class T>
inline void walk_average(const Tensor& tensor, const Constants<T>& constants, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t size = block_size<T>;
  alignas(64) T theta[size];
  for (std::int64_t at = begin; at < end; at += size) {
    const std::int64_t n = std::min(size, end - at);
    load(tensor.theta, at, n, theta);
    update_average(tensor, constants, theta, at, n);
  }
}

template <class T>
inline void write_shadow(const Tensor& tensor, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t size = block_size<T>;
  alignas(64) T theta[size];
  for (std::int64_t at = begin; at < end; at += size) {
    const std::int64_t n = std::min(size, end - at);
    load(tensor.theta, at, n, theta);
    store(tensor.shadow, at, n, theta, Dither());
  }
}

}  // namespace fastopt::engine
