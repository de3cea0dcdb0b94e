// Structs as values.
//
//   struct Point {
//     double x = 0;
//     double y = 0;
//     KILN_STRUCT(x, y)
//   };
//
// Names the fields that travel; the struct stays an aggregate. It is written as a map by field
// name, not as a list: it can be given as JSON on the command line ({"x": 1, "y": 2}), reads as a
// dict in other languages, and a field added or moved is noticed instead of misread. The price is
// the names' bytes with every value; for very many small structs, use arrays of their fields.
//
// A map with an unknown field or without one of the fields is refused, std::optional fields
// excepted: they may be absent. The struct must be default-constructible, the fields of types that
// can travel themselves. At most 256 fields.
#pragma once

#include <utility>

#define KILN_STRUCT(...)                                                       \
  static constexpr bool kKilnStruct = true;                                    \
  template <typename KilnSelf, typename KilnVisitor>                           \
  static void KilnVisitFields(KilnSelf& kiln_self, KilnVisitor&& kiln_visit) { \
    KILN_DETAIL_FOR_EACH(KILN_DETAIL_VISIT_FIELD, __VA_ARGS__)                 \
  }

#define KILN_DETAIL_VISIT_FIELD(field) kiln_visit(#field, kiln_self.field);

// Applies `macro` to each of up to 256 arguments, by rescanning.
#define KILN_DETAIL_PARENS ()
#define KILN_DETAIL_EXPAND(...) \
  KILN_DETAIL_EXPAND3(KILN_DETAIL_EXPAND3(KILN_DETAIL_EXPAND3(KILN_DETAIL_EXPAND3(__VA_ARGS__))))
#define KILN_DETAIL_EXPAND3(...) \
  KILN_DETAIL_EXPAND2(KILN_DETAIL_EXPAND2(KILN_DETAIL_EXPAND2(KILN_DETAIL_EXPAND2(__VA_ARGS__))))
#define KILN_DETAIL_EXPAND2(...) \
  KILN_DETAIL_EXPAND1(KILN_DETAIL_EXPAND1(KILN_DETAIL_EXPAND1(KILN_DETAIL_EXPAND1(__VA_ARGS__))))
#define KILN_DETAIL_EXPAND1(...) \
  KILN_DETAIL_EXPAND0(KILN_DETAIL_EXPAND0(KILN_DETAIL_EXPAND0(KILN_DETAIL_EXPAND0(__VA_ARGS__))))
#define KILN_DETAIL_EXPAND0(...) __VA_ARGS__
#define KILN_DETAIL_FOR_EACH(macro, ...) \
  __VA_OPT__(KILN_DETAIL_EXPAND(KILN_DETAIL_FOR_EACH_STEP(macro, __VA_ARGS__)))
#define KILN_DETAIL_FOR_EACH_STEP(macro, first, ...) \
  macro(first) __VA_OPT__(KILN_DETAIL_FOR_EACH_AGAIN KILN_DETAIL_PARENS(macro, __VA_ARGS__))
#define KILN_DETAIL_FOR_EACH_AGAIN() KILN_DETAIL_FOR_EACH_STEP
