// Waiting: for objects, items of streams, and events. See session.cc for the rest.
#include <utility>

#include "client/python/src/decode.h"
#include "client/python/src/gil.h"
#include "client/python/src/object_ref.h"
#include "client/python/src/python_text.h"
#include "client/python/src/session.h"

namespace kiln::python {
namespace {

peer::Deadline DeadlineOf(std::optional<double> timeout) {
  constexpr double kForEver = 1e9;  // seconds; beyond it times overflow
  if (!timeout || !(*timeout < kForEver)) return std::nullopt;
  return Clock::now() +
         std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*timeout));
}

}  // namespace

PyObject* Session::Get(PyObject* ref, std::optional<double> timeout) {
  if (!CheckUsable() || !CheckRef(ref)) return nullptr;
  const ObjectId id = IdOf(ref);
  Result<std::vector<value::SharedBytes>> values = Status();
  {
    WithoutGil others_may_run;
    values = peer_->Get(std::span(&id, 1), DeadlineOf(timeout), CheckSignals());
  }
  if (!values.ok()) return SetError(values.status()), nullptr;
  return Decode(shared_from_this(), values->front());
}

bool Session::CollectIds(PyObject* refs, std::vector<ObjectId>* ids) const {
  const Py_ssize_t count = PyList_GET_SIZE(refs);
  ids->reserve(static_cast<size_t>(count));
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* ref = PyList_GET_ITEM(refs, i);
    if (!CheckRef(ref)) return false;
    ids->push_back(IdOf(ref));
  }
  return true;
}

PyObject* Session::GetList(PyObject* refs, std::optional<double> timeout) {
  std::vector<ObjectId> ids;
  // The list is the caller's, who may change it meanwhile.
  PyObject* kept = PyList_GetSlice(refs, 0, PyList_GET_SIZE(refs));
  if (!kept) return nullptr;
  PyObject* objects = nullptr;
  Result<std::vector<value::SharedBytes>> values = Status();
  if (!CheckUsable() || !CollectIds(kept, &ids)) goto done;
  {
    WithoutGil others_may_run;
    values = peer_->Get(ids, DeadlineOf(timeout), CheckSignals());
  }
  if (!values.ok()) {
    SetError(values.status());
    goto done;
  }
  objects = PyList_New(static_cast<Py_ssize_t>(ids.size()));
  for (size_t i = 0; objects && i < ids.size(); ++i) {
    PyObject* object = Decode(shared_from_this(), (*values)[i]);
    if (!object) {
      Py_CLEAR(objects);
      break;
    }
    PyList_SET_ITEM(objects, static_cast<Py_ssize_t>(i), object);
    (*values)[i] = {};  // what is built no longer needs its bytes
  }
done:
  Py_DECREF(kept);
  return objects;
}

PyObject* Session::Wait(PyObject* refs, size_t num_returns, std::optional<double> timeout) {
  if (!CheckUsable()) return nullptr;
  const Py_ssize_t count = PyList_GET_SIZE(refs);
  for (Py_ssize_t i = 0; i < count; ++i) {
    if (!CheckRef(PyList_GET_ITEM(refs, i))) return nullptr;
  }
  PyObject* kept = PyList_GetSlice(refs, 0, count);
  if (!kept) return nullptr;
  const auto id_at = [&](size_t at) {
    return IdOf(PyList_GET_ITEM(kept, static_cast<Py_ssize_t>(at)));
  };
  Result<std::vector<size_t>> sealed = Status();
  {
    WithoutGil others_may_run;  // `kept` is ours alone, and its refs stay as they are
    sealed = peer_->Wait(static_cast<size_t>(count), id_at, num_returns, DeadlineOf(timeout),
                         CheckSignals());
  }
  if (!sealed.ok()) {
    Py_DECREF(kept);
    return SetError(sealed.status()), nullptr;
  }
  // What is not ready is the rest of the list: cut out in runs, which copies pointers.
  PyObject* ready = PyList_New(static_cast<Py_ssize_t>(sealed->size()));
  for (size_t i = 0; i < sealed->size(); ++i) {
    PyObject* ref = PyList_GET_ITEM(kept, static_cast<Py_ssize_t>((*sealed)[i]));
    Py_INCREF(ref);
    PyList_SET_ITEM(ready, static_cast<Py_ssize_t>(i), ref);
  }
  for (size_t i = sealed->size(); i > 0;) {
    const size_t end = (*sealed)[--i] + 1;
    size_t begin = end - 1;
    while (i > 0 && (*sealed)[i - 1] + 1 == begin) {
      --i;
      --begin;
    }
    PyList_SetSlice(kept, static_cast<Py_ssize_t>(begin), static_cast<Py_ssize_t>(end), nullptr);
  }
  return Py_BuildValue("(NN)", ready, kept);
}

PyObject* Session::Cancel(PyObject* ref, bool force) {
  if (!CheckUsable() || !CheckRef(ref)) return nullptr;
  Status status;
  {
    const ObjectId id = IdOf(ref);
    WithoutGil others_may_run;
    status = peer_->Cancel(id, force);
  }
  if (!status.ok()) return SetError(status), nullptr;
  Py_RETURN_NONE;
}

PyObject* Session::NextItem(PyObject* end, std::optional<double> timeout) {
  if (!CheckUsable() || !CheckRef(end)) return nullptr;
  Result<std::optional<ObjectId>> item = Status();
  {
    const TaskId stream = IdOf(end);
    WithoutGil others_may_run;
    item = peer_->NextItem(stream, DeadlineOf(timeout), CheckSignals());
  }
  if (!item.ok()) return SetError(item.status()), nullptr;
  if (!*item) Py_RETURN_NONE;
  return MakeRef(shared_from_this(), **item);
}

void Session::DropStream(PyObject* end) {
  if (forked() || shut_down_ || !IsRef(end)) return;
  const TaskId stream = IdOf(end);
  WithoutGil others_may_run;
  peer_->DropStream(stream);
}

// --- events --------------------------------------------------------------------------------------

bool Session::Watch(PyObject* ref) {
  if (!CheckUsable() || !CheckRef(ref)) return false;
  const ObjectId id = IdOf(ref);
  WithoutGil others_may_run;
  peer_->Watch(id);
  return true;
}

PyObject* Session::NextEvents() {
  peer::Peer::Events events;
  {
    WithoutGil others_may_run;
    events = peer_->NextEvents();
  }
  PyObject* sealed = PyList_New(static_cast<Py_ssize_t>(events.sealed.size()));
  for (size_t i = 0; i < events.sealed.size(); ++i) {
    PyList_SET_ITEM(sealed, static_cast<Py_ssize_t>(i),
                    PyLong_FromUnsignedLongLong(events.sealed[i]));
  }
  PyObject* output = PyList_New(0);
  for (const v1::LogLines& lines : events.lines) {
    PyObject* entry =
        Py_BuildValue("(NLN)", MakeText(lines.task()), static_cast<long long>(lines.pid()),
                      MakeTextList(lines.lines()));
    if (entry) PyList_Append(output, entry);
    Py_XDECREF(entry);
  }
  return Py_BuildValue("(NNKO)", sealed, output,
                       static_cast<unsigned long long>(events.lines_dropped),
                       events.ended ? Py_True : Py_False);
}

}  // namespace kiln::python
