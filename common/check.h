// For what only a bug of ours can break: says where, and aborts.
//
// Nothing that a client, a worker, a file or the network can send may reach a KILN_CHECK.
#pragma once

#include <cstdio>
#include <cstdlib>

#define KILN_CHECK(condition)                                                              \
  do {                                                                                     \
    if (!(condition)) {                                                                    \
      std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition);   \
      std::abort();                                                                        \
    }                                                                                      \
  } while (false)
