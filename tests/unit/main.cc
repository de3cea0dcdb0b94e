// The main function of every Catch2 test program, compiled once: it takes 12 s.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
