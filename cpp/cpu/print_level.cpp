// Run while CMake configures with FASTOPT_LEVELS=native: the level of the processor that builds.
#include <cstdio>

#include "cpu/level.hpp"

int main() { std::printf("%d", fastopt::cpu::level()); }
