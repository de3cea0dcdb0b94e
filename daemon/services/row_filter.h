// Filters of lists: "column=value" and "column!=value" over the fields of a row's message.
//
// Thread: plain data.
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "common/status.h"

namespace kiln::services {

class RowFilter {
 public:
  // Errors: InvalidArgument (no operator, or a column that rows of this type do not have; names
  //         those there are).
  static Result<RowFilter> Parse(const google::protobuf::RepeatedPtrField<std::string>& filters,
                                 const google::protobuf::Descriptor* row_type);

  // Requires: row is of the type given to Parse.
  bool Matches(const google::protobuf::Message& row) const;

 private:
  struct Condition {
    const google::protobuf::FieldDescriptor* column;
    std::string value;
    bool equal;
  };
  std::vector<Condition> conditions_;
};

}  // namespace kiln::services
