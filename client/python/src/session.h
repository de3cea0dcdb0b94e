// A Python process's session with a head: libkiln's Peer, called with Python's objects.
//
// Every call that may wait lets go of the GIL and looks for signals now and then, so that Ctrl-C
// ends it. A child that was forked from the process has the object but no session: its calls say
// so.
//
// Thread: with the GIL.
// Owner:  the package's state, and every ref and value that came from it.
#pragma once

#include <Python.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/cpp/src/own_head.h"
#include "client/python/src/encode.h"
#include "common/ids.h"
#include "common/peer/peer.h"
#include "kiln/v1/actor.pb.h"

namespace kiln::python {

// A class of tasks as Submit names it.
struct TaskKind {
  uint32_t class_id = 0;
  uint32_t num_returns = 1;
  Reader reader = Reader::kPython;  // of the arguments
  // The pickled function, where this session may end before its tasks: in a worker. Of an actor its
  // class, for it may be started anew.
  ObjectId keep = 0;
};

// The arguments of one call as they were given to Python: positional ones first, then those whose
// names the tuple `names` has, which may be null. Borrowed.
struct CallArguments {
  PyObject* const* objects;
  size_t count;
  PyObject* names;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  // `own_head`: null if the head is not this process's own, and in workers.
  Session(std::shared_ptr<peer::Peer> peer, std::shared_ptr<OwnHead> own_head, bool worker);
  // In a forked child nothing is ended.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Each returns a new reference, or null with a Python error set.
  //
  // Returns: a ref, or a list of them if the kind has several results. `actor`: of a kind of
  // method: the one that is called.
  PyObject* Submit(const TaskKind& kind, const CallArguments& arguments, ObjectId actor = 0);
  // The same with a tuple, and a dict or null.
  PyObject* Submit(const TaskKind& kind, PyObject* positional, PyObject* keywords);
  // See Peer::CreateActor. Sets `id`, with one handle, and `found` if the name was there before.
  // Returns: false with a Python error set: as Submit; ValueError (the name is taken).
  bool CreateActor(const TaskKind& kind, PyObject* positional, PyObject* keywords,
                   v1::CreateActor request, ObjectId* id, std::optional<v1::ActorClass>* found);
  // See Peer::FindActor. Returns: false with a Python error set: ValueError (there is none).
  bool FindActor(const std::string& name, const std::string& name_space, ObjectId* id,
                 v1::ActorClass* found);
  bool KillActor(PyObject* ref, bool may_restart);
  // Returns: false with a Python error set: PendingCallsLimitExceeded.
  bool CheckPendingCalls(ObjectId actor, uint64_t most);
  PyObject* Put(PyObject* value);
  // Puts what `dump` makes of the object: see EncodeByPickle.
  PyObject* PutPickled(PyObject* object, PyObject* dump);
  // The object's value; or a list of values. `timeout`: seconds, nothing: without end.
  // Raises: what a task raised; GetTimeoutError.
  PyObject* Get(PyObject* ref, std::optional<double> timeout);
  PyObject* GetList(PyObject* refs, std::optional<double> timeout);
  // `refs`: a list. Returns: (ready, not ready).
  PyObject* Wait(PyObject* refs, size_t num_returns, std::optional<double> timeout);
  PyObject* Cancel(PyObject* ref, bool force);
  // The ref of the next item of the stream whose end is `end`, or None when there are no more: see
  // Peer::NextItem.
  PyObject* NextItem(PyObject* end, std::optional<double> timeout);
  // See Peer::DropStream.
  void DropStream(PyObject* end);
  // See Peer::Watch.
  bool Watch(PyObject* ref);
  // Blocks: until something happens. Returns: (sealed refs as ints, [(task, pid, lines)], dropped
  // lines, ended).
  PyObject* NextEvents();
  // A ref by its text, wherever it was made; it need not exist. Requires: `id` is not 0.
  PyObject* RefOf(ObjectId id);

  void Retain(ObjectId id);
  void Release(ObjectId id);
  // Ends the session, and the head if it is this process's own. Does nothing in a forked child.
  void Shutdown();
  // Nothing works any more: it was shut down, the head has gone, or this is a forked child.
  bool usable() const;

  bool in_worker() const { return in_worker_; }
  peer::Peer& peer() { return *peer_; }
  const OwnHead* own_head() const { return own_head_.get(); }

  // Returns: false with a Python error set: see usable(). A head that has gone shows in the call.
  bool CheckUsable() const;

 private:
  bool CheckRef(PyObject* object) const;
  // `parts`: null with a Python error set, which stays.
  PyObject* PutParts(const std::shared_ptr<value::Parts>& parts);
  bool AddArgument(PyObject* object, Reader reader, std::vector<peer::Argument>* arguments) const;
  bool AddArguments(const CallArguments& given, Reader reader,
                    std::vector<peer::Argument>* arguments, std::vector<std::string>* names) const;
  bool CollectIds(PyObject* refs, std::vector<ObjectId>* ids) const;
  bool forked() const;

  std::shared_ptr<OwnHead> own_head_;  // before peer_: it ends later
  std::shared_ptr<peer::Peer> peer_;
  const bool in_worker_;
  const uint32_t forks_;
  std::atomic<bool> shut_down_ = false;
};

// Sets the Python error a failed call stands for.
void SetError(const Status& status);
// Raises kiln.exceptions.NAME(message).
void Raise(const char* name, const std::string& message);

// A tuple of arguments, and a dict of others or null, as one call.
class Unpacked {
 public:
  Unpacked(PyObject* positional, PyObject* keywords);
  ~Unpacked() { Py_XDECREF(names_); }
  Unpacked(const Unpacked&) = delete;
  Unpacked& operator=(const Unpacked&) = delete;

  CallArguments arguments() const { return {objects_.data(), objects_.size(), names_}; }

 private:
  std::vector<PyObject*> objects_;  // borrowed
  PyObject* names_ = nullptr;
};

// The function of Python that says which argument could not be encoded: (position or keyword) with
// the error set. Called with what was raised; returns the exception to raise instead.
void SetExplainArgument(PyObject* explain);

// Returns: a new reference to the Python object of a session.
PyObject* WrapSession(const std::shared_ptr<Session>& session);

// Something else that ends a wait, besides signal handlers: true with a Python error set. For
// workers, whose tasks may be cancelled while others run on top of them.
void SetInterruptHook(bool (*hook)());

// How a wait asks whether it is to end: runs signal handlers; true if one raised.
const peer::Interrupted* CheckSignals();

}  // namespace kiln::python
