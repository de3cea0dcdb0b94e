#include "client/python/src/session.h"

#include <pthread.h>

#include <utility>

#include "client/python/src/gil.h"
#include "client/python/src/object_ref.h"
#include "client/python/src/python_error.h"

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

}  // namespace

void Raise(const char* name, const std::string& message) {
  PyObject* module = PyImport_ImportModule("kiln.exceptions");
  PyObject* type = module ? PyObject_GetAttrString(module, name) : nullptr;
  if (type) PyErr_SetString(type, message.c_str());
  Py_XDECREF(type);
  Py_XDECREF(module);
}

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

Unpacked::Unpacked(PyObject* positional, PyObject* keywords) {
  const Py_ssize_t count = PyTuple_GET_SIZE(positional);
  for (Py_ssize_t i = 0; i < count; ++i) objects_.push_back(PyTuple_GET_ITEM(positional, i));
  const Py_ssize_t named = keywords ? PyDict_GET_SIZE(keywords) : 0;
  if (named == 0) return;
  names_ = PyTuple_New(named);
  PyObject *name, *object;
  for (Py_ssize_t at = 0, i = 0; PyDict_Next(keywords, &at, &name, &object); ++i) {
    Py_INCREF(name);
    PyTuple_SET_ITEM(names_, i, name);
    objects_.push_back(object);
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
  PyObject* error = TakeError();
  SetException(PyObject_CallFunctionObjArgs(explain_function, place, error, nullptr));
  Py_DECREF(error);
  Py_DECREF(place);
}

bool Session::AddArguments(const CallArguments& given, Reader reader,
                           std::vector<peer::Argument>* arguments,
                           std::vector<std::string>* names) const {
  arguments->reserve(given.count);
  const size_t named = given.names ? static_cast<size_t>(PyTuple_GET_SIZE(given.names)) : size_t{0};
  const size_t positional = given.count - named;
  for (size_t i = 0; i < given.count; ++i) {
    PyObject* name = nullptr;
    if (i >= positional) {
      name = PyTuple_GET_ITEM(given.names, static_cast<Py_ssize_t>(i - positional));
      const char* text = PyUnicode_AsUTF8(name);
      if (!text) return false;
      names->emplace_back(text);
    }
    if (AddArgument(given.objects[i], reader, arguments)) continue;
    Py_XINCREF(name);
    Explain(name ? name : PyLong_FromSize_t(i));
    return false;
  }
  return true;
}

PyObject* Session::Submit(const TaskKind& kind, const CallArguments& given, ObjectId actor) {
  if (!CheckUsable()) return nullptr;
  std::vector<peer::Argument> arguments;
  std::vector<std::string> names;
  if (!AddArguments(given, kind.reader, &arguments, &names)) return nullptr;
  // What arguments borrow is given back by this thread, with the GIL: a copy of the owners stays.
  const std::vector<peer::Argument> kept = arguments;
  Result<ObjectId> first = Status();
  {
    WithoutGil others_may_run;
    first = peer_->Submit(
        kind.class_id, kind.num_returns, std::move(arguments),
        {.keywords = names, .keep = kind.keep, .actor = actor, .interrupted = CheckSignals()});
  }
  if (!first.ok()) return SetError(first.status()), nullptr;
  std::shared_ptr<Session> self = shared_from_this();
  if (kind.num_returns == 1) return MakeRef(self, *first, actor != 0);
  PyObject* refs = PyList_New(kind.num_returns);
  for (uint32_t i = 0; refs && i < kind.num_returns; ++i) {
    PyList_SET_ITEM(refs, i, MakeRef(self, *first + i, actor != 0));
  }
  return refs;
}

PyObject* Session::Submit(const TaskKind& kind, PyObject* positional, PyObject* keywords) {
  const Unpacked unpacked(positional, keywords);
  return Submit(kind, unpacked.arguments());
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
  return PutParts(Encode(value, Reader::kPython));
}

PyObject* Session::PutPickled(PyObject* object, PyObject* dump) {
  if (!CheckUsable()) return nullptr;
  return PutParts(EncodeByPickle(object, dump));
}

PyObject* Session::PutParts(const std::shared_ptr<value::Parts>& parts) {
  if (!parts) return nullptr;
  Result<ObjectId> id = Status();
  {
    WithoutGil others_may_run;
    id = peer_->Put(*parts);
  }
  if (!id.ok()) return SetError(id.status()), nullptr;
  return MakeRef(shared_from_this(), *id);
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
