// Each CPU level is a module of its own, and all may be loaded into one process. Bound C++ classes live in a namespace per
// level and are module_local: otherwise one level's functions would accept another level's objects.
#pragma once

#ifndef FASTOPT_LEVEL
#define FASTOPT_LEVEL base
#endif
#define FASTOPT_BINDINGS_BEGIN  \
  namespace fastopt::bindings { \
  inline namespace FASTOPT_LEVEL {
#define FASTOPT_BINDINGS_END \
  }                          \
  }
