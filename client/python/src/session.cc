#include "client/python/src/session.h"

#include <pthread.h>

#include <cmath>
#include <utility>

#include "client/python/src/decode.h"
#include "client/python/src/gil.h"
#include "client/python/src/object_ref.h"

namespace kiln::python {
namespace {

PyObject* explain_function = nullptr;  // never freed
bool (*interrupt_hook)() = nullptr;

std::atomic<uint32_t> forks = 0;

uint32_t CountForks() {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { ++forks; });
  (void)registered;
  return forks;
}

// Raises kiln.exceptions.NAME(message).
void Raise(const char* name, const std::string& message) {
  PyObject* module = PyImport_ImportModule("kiln.exceptions");
  PyObject* type = module ? PyObject_GetAttrString(module, name) : nullptr;
  if (type) PyErr_SetString(type, message.c_str());
  Py_XDECREF(type);
  Py_XDECREF(module);
}

peer::Deadline DeadlineOf(std::optional<double> timeout) {
  constexpr double kForEver = 1e9;  // seconds; beyond it times overflow
  if (!timeout || !(*timeout < kForEver)) return std::nullopt;
  return Clock::now() +
         std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*timeout));
}

ObjectId IdOf(PyObject* ref) {
  return reinterpret_cast<RefObject*>(ref)->id;
}

}  // namespace

const peer::Interrupted* CheckSignals() {
  static const auto* check = new peer::Interrupted([] {
    WithGil gil;
    return PyErr_CheckSignals() != 0 || (interrupt_hook && interrupt_hook());
  });
  return check;
}

void SetInterruptHook(bool (*hook)()) {
  interrupt_hook = hook;
}

void SetExplainArgument(PyObject* explain) {
  Py_XINCREF(explain);
  Py_XSETREF(explain_function, explain);
}

void SetError(const Status& status) {
  if (PyErr_Occurred()) return;  // a signal handler raised
  switch (status.code()) {
    case Code::kDeadlineExceeded:
      return Raise("GetTimeoutError", status.message());
    case Code::kResourceExhausted:
      return Raise("ObjectStoreFullError", status.message());
    case Code::kCancelled:
      return Raise("TaskCancelledError", status.message());
    default:
      return Raise("RaySystemError", status.message());
  }
}

Session::Session(std::shared_ptr<peer::Peer> peer, std::shared_ptr<OwnHead> own_head, bool worker)
    : own_head_(std::move(own_head)),
      peer_(std::move(peer)),
      in_worker_(worker),
      forks_(CountForks()) {}

// The session's threads are not in a forked child: nothing of it can be ended there.
Session::~Session() {
  if (forked()) {
    new std::shared_ptr<peer::Peer>(std::move(peer_));
    return;
  }
  WithoutGil others_may_run;
  peer_.reset();
  own_head_.reset();
}

bool Session::forked() const {
  return forks_ != forks.load(std::memory_order_relaxed);
}

bool Session::usable() const {
  return !shut_down_ && !forked() && !peer_->ended();
}

bool Session::CheckUsable() const {
  if (forked()) {
    Raise("RaySystemError",
          "this process was forked from one that had called kiln.init(), and has no session of its "
          "own: call kiln.init() here too; refs of the parent cannot be used in it");
    return false;
  }
  if (shut_down_) {
    Raise("RaySystemError",
          "the session has ended (kiln.shutdown()); refs that were made by it are gone with it");
    return false;
  }
  return true;
}

bool Session::CheckRef(PyObject* object) const {
  if (!IsRef(object)) {
    PyErr_Format(PyExc_TypeError, "expected an ObjectRef, got %.200s%s", Py_TYPE(object)->tp_name,
                 PyList_Check(object) ? "; lists of refs do not nest" : "");
    return false;
  }
  const Session* session = reinterpret_cast<RefObject*>(object)->session.get();
  if (session == this) return true;
  if (!session->CheckUsable()) return false;
  Raise("RaySystemError", "the ref " + FormatRef(IdOf(object)) + " belongs to another session");
  return false;
}

// --- submit and put ------------------------------------------------------------------------------

bool Session::AddArgument(PyObject* object, Reader reader,
                          std::vector<peer::Argument>* arguments) const {
  peer::Argument& argument = arguments->emplace_back();
  if (IsRef(object)) {
    argument.ref = IdOf(object);
    return CheckRef(object);
  }
  argument.parts = Encode(object, reader);
  return argument.parts != nullptr;
}

// Puts the argument's place into the error that is set.
static void Explain(PyObject* place) {
  if (!place) return;
  PyObject *type, *error, *traceback;
  PyErr_Fetch(&type, &error, &traceback);
  PyErr_NormalizeException(&type, &error, &traceback);
  if (traceback) PyException_SetTraceback(error, traceback);
  PyObject* better = PyObject_CallFunctionObjArgs(explain_function, place, error, nullptr);
  if (better) {
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(better)), better);
    Py_DECREF(better);
  }
  Py_XDECREF(type);
  Py_XDECREF(error);
  Py_XDECREF(traceback);
  Py_DECREF(place);
}

PyObject* Session::Submit(const TaskKind& kind, PyObject* positional, PyObject* keywords) {
  if (!CheckUsable()) return nullptr;
  std::vector<peer::Argument> arguments;
  std::vector<std::string> names;
  const Py_ssize_t count = PyTuple_GET_SIZE(positional);
  arguments.reserve(static_cast<size_t>(count) + (keywords ? PyDict_GET_SIZE(keywords) : 0));
  for (Py_ssize_t i = 0; i < count; ++i) {
    if (!AddArgument(PyTuple_GET_ITEM(positional, i), kind.reader, &arguments)) {
      return Explain(PyLong_FromSsize_t(i)), nullptr;
    }
  }
  PyObject *name, *object;
  for (Py_ssize_t at = 0; keywords && PyDict_Next(keywords, &at, &name, &object);) {
    const char* text = PyUnicode_AsUTF8(name);
    if (!text) return nullptr;
    names.emplace_back(text);
    if (!AddArgument(object, kind.reader, &arguments)) {
      Py_INCREF(name);
      return Explain(name), nullptr;
    }
  }
  // What arguments borrow is given back by this thread, with the GIL: a copy of the owners stays.
  const std::vector<peer::Argument> kept = arguments;
  Result<ObjectId> first = Status();
  {
    WithoutGil others_may_run;
    first = peer_->Submit(kind.class_id, kind.num_returns, std::move(arguments), /*block=*/true,
                          names, kind.keep, CheckSignals());
  }
  if (!first.ok()) return SetError(first.status()), nullptr;
  std::shared_ptr<Session> self = shared_from_this();
  if (kind.num_returns == 1) return MakeRef(self, *first);
  PyObject* refs = PyList_New(kind.num_returns);
  for (uint32_t i = 0; refs && i < kind.num_returns; ++i) {
    PyList_SET_ITEM(refs, i, MakeRef(self, *first + i));
  }
  return refs;
}

PyObject* Session::Put(PyObject* value) {
  if (!CheckUsable()) return nullptr;
  if (IsRef(value)) {
    PyErr_SetString(
        PyExc_TypeError,
        "kiln.put of an ObjectRef: its object is stored already; to store the ref itself, "
        "put it into a list");
    return nullptr;
  }
  std::shared_ptr<value::Parts> parts = Encode(value, Reader::kPython);
  if (!parts) return nullptr;
  Result<ObjectId> id = Status();
  {
    WithoutGil others_may_run;
    id = peer_->Put(*parts);
  }
  if (!id.ok()) return SetError(id.status()), nullptr;
  return MakeRef(shared_from_this(), *id);
}

PyObject* Session::PutPickled(PyObject* object, PyObject* dump) {
  if (!CheckUsable()) return nullptr;
  std::shared_ptr<value::Parts> parts = EncodeByPickle(object, dump);
  if (!parts) return nullptr;
  Result<ObjectId> id = Status();
  {
    WithoutGil others_may_run;
    id = peer_->Put(*parts);
  }
  if (!id.ok()) return SetError(id.status()), nullptr;
  return MakeRef(shared_from_this(), *id);
}

// --- get and wait --------------------------------------------------------------------------------

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
    PyObject* texts = PyList_New(0);
    for (const std::string& line : lines.lines()) {
      PyObject* text =
          PyUnicode_DecodeUTF8(line.data(), static_cast<Py_ssize_t>(line.size()), "replace");
      if (text) PyList_Append(texts, text);
      Py_XDECREF(text);
    }
    PyObject* entry =
        Py_BuildValue("(sLN)", lines.task().c_str(), static_cast<long long>(lines.pid()), texts);
    if (entry) PyList_Append(output, entry);
    Py_XDECREF(entry);
  }
  return Py_BuildValue("(NNKO)", sealed, output,
                       static_cast<unsigned long long>(events.lines_dropped),
                       events.ended ? Py_True : Py_False);
}

PyObject* Session::RefOf(ObjectId id) {
  if (!CheckUsable()) return nullptr;
  peer_->Retain(id);
  return MakeRef(shared_from_this(), id);
}

void Session::Retain(ObjectId id) {
  if (!forked()) peer_->Retain(id);
}

void Session::Release(ObjectId id) {
  if (!forked() && !shut_down_) peer_->Release(id);
}

void Session::Shutdown() {
  if (forked() || shut_down_.exchange(true)) return;
  WithoutGil others_may_run;
  peer_->Shutdown("the session was shut down");
  own_head_.reset();
}

}  // namespace kiln::python
