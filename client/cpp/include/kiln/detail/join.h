// For macros that make a name of their own.
//
// Not part of the API.
#pragma once

#define KILN_DETAIL_JOIN(a, b) KILN_DETAIL_JOIN2(a, b)
#define KILN_DETAIL_JOIN2(a, b) a##b
