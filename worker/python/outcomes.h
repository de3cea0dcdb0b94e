// What a Python function returned or raised, as the outcome of its task.
//
// Thread: with the GIL.
// See:    worker/python/execute.py for the half that is written in Python.
#pragma once

#include <Python.h>

#include "worker/invoke.h"

namespace kiln::python {

class Outcomes {
 public:
  // `execute`: the module kiln.worker.execute; borrowed for the life of the process.
  explicit Outcomes(PyObject* execute) : execute_(execute) {}

  // `result`: taken over; null: a Python error is set, which is none afterwards.
  void Fill(PyObject* result, const worker::Invocation& invocation, worker::Outcome* outcome) const;
  // Hands over one item of the stream that the task makes. Blocks: while its window is full,
  // without the GIL. Returns: false with a Python error set.
  bool YieldItem(PyObject* item, const worker::Invocation& invocation) const;

 private:
  // A value for any language where that is asked for; a new reference.
  PyObject* Portable(PyObject* value, const worker::Invocation& invocation) const;
  bool EncodeResults(PyObject* result, const worker::Invocation& invocation,
                     worker::Outcome* outcome) const;
  void ExplainResult(PyObject* result) const;
  // What the Python error that is set means for the task.
  void Describe(const worker::Invocation& invocation, worker::Outcome* outcome) const;

  PyObject* const execute_;
};

}  // namespace kiln::python
