// What copying into shared memory costs without a store: memory files with pages of either size.
//
// Thread: one, and no other in the process (a child is forked).
#pragma once

#include "client/cli/microbenchmark/report.h"

namespace kiln::cli::microbenchmark {

// "memcpy warm shared pages" and its relatives; a note for those that cannot be had here.
void MeasureSharedPages(Report* report);

}  // namespace kiln::cli::microbenchmark
