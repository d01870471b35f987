// For loops whose elements have nothing to do with each other, though arrays that are read and written may be the same.
#pragma once

#if defined(__clang__)
#define FASTOPT_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define FASTOPT_INDEPENDENT _Pragma("GCC ivdep")
#else
#define FASTOPT_INDEPENDENT __pragma(loop(ivdep))
#endif
