// Z <- Q Z with the Q of the tridiagonalisation, blocked in the compact WY form (Schreiber and Van Loan 1989).
#pragma once
#include <cstdint>

#include "linalg/team.hpp"
#include "linalg/tridiagonalise.hpp"

namespace fastopt::linalg {

// a and tau as tridiagonalise left them (zeros are written above the vectors); z is n x n, columns ldz apart.
template <class T>
void back_transform(T* a, Shape<T> shape, const T* tau, T* z, std::int64_t ldz, const Team<T>& team, Interrupt interrupt);

}  // namespace fastopt::linalg
